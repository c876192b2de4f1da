"""How long a file says it is: read from its header, so that a cut upload is told apart before it is decoded.

Exact for RIFF (wav, avi), RF64, W64, AIFF, AU, CAF, MP4/MOV boxes, sized Matroska segments, Ogg pages and AMR frames
(the last one must be whole), WavPack blocks and, through `declared_samples`, FLAC and TTA; an MP3 only where it has a
Xing or Info header. Streamed files, whose writer could not go back to fill in a length (0, 0x7FFF0000 and above,
unknown-size Matroska), promise nothing. Neither do ADTS AAC, plain MP3, FLV, ASF and MPEG-TS, or a cut right between
two Ogg pages or AMR frames.
"""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

# Writers are known to count their own header into the length of a wav: 64 bytes are 2 ms at 16 kHz.
_SLACK_BYTES = 64
# Taggers rewrite an MP3 without its Xing header: less than two frames at 128 kbit/s.
_SLACK_MP3_BYTES = 2048
_STREAMED_FROM = 0x7FFF0000
_MAX_BOXES = 200_000

# Bytes of an AMR frame by its mode, with the octet that names the mode; reserved modes and "no data" are that octet.
_AMR_NB = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
_AMR_WB = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)

_Walk = Callable[[BinaryIO, int], int | None]


def missing_bytes(source: BinaryIO) -> int:
    """Bytes that the header promises and the file lacks; 0 for whole files and for those that promise nothing."""
    size = source.seek(0, os.SEEK_END)
    walk = _walker(_at(source, 0, 16))
    end = walk(source, size) if walk else None
    slack = _SLACK_MP3_BYTES if walk is _mp3_end else _SLACK_BYTES if walk in (_riff_end, _rifx_end) else 0
    return end - size if end is not None and end - size > slack else 0


def declared_samples(source: BinaryIO) -> int | None:
    """Samples per channel that the header of a FLAC (RFC 9639, 8.2) or TTA file declares."""
    head = _at(source, 0, 26)
    if len(head) == 26 and head[:4] == b"fLaC" and not head[4] & 0x7F:
        return (int.from_bytes(head[18:26], "big") & ((1 << 36) - 1)) or None
    return int.from_bytes(head[14:18], "little") or None if head[:4] == b"TTA1" else None


def _walker(head: bytes) -> _Walk | None:
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _riff_end
    if head[:4] in (b"RIFX", b"FORM"):
        return _rifx_end
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp", b"free", b"skip"):
        return _boxes_end
    if head[:4] in _BY_MAGIC:
        return _BY_MAGIC[head[:4]]
    return _mp3_end if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0") else None


def _at(source: BinaryIO, offset: int, n_bytes: int) -> bytes:
    if not 0 <= offset < 1 << 62:  # a length of 64 bits that nothing can hold
        return b""
    source.seek(offset)
    return source.read(n_bytes)


def _riff_end(source: BinaryIO, size: int) -> int | None:
    return _iff_end(source, size, "<I")


def _rifx_end(source: BinaryIO, size: int) -> int | None:
    return _iff_end(source, size, ">I")


def _iff_end(source: BinaryIO, size: int, layout: str) -> int | None:
    """Walks to the chunk that holds the sound; later chunks are often junk and promise nothing."""
    pos, data_bytes = 12, 0
    while len(head := _at(source, pos, 12)) >= 8:
        (length,) = struct.unpack(layout, head[4:8])
        if head[:4] == b"ds64":  # RF64: the lengths that do not fit into 32 bits
            data_bytes = int.from_bytes(_at(source, pos + 16, 8), "little")
        if head[:4] in (b"data", b"SSND") or (head[:4] == b"LIST" and head[8:12] == b"movi"):
            length = data_bytes if length == 0xFFFFFFFF and 0 < data_bytes < 1 << 62 else length
            return None if _is_streamed(length) and not data_bytes else pos + 8 + length
        pos += 8 + length + (length & 1)
    (outer,) = struct.unpack(layout, _at(source, 4, 4).ljust(4, b"\0"))
    return None if _is_streamed(outer) else 8 + outer


def _is_streamed(length: int) -> bool:
    return length == 0 or length >= _STREAMED_FROM


def _au_end(source: BinaryIO, size: int) -> int | None:
    start, length = struct.unpack(">II", _at(source, 4, 8).ljust(8, b"\xff"))
    return None if _is_streamed(length) else int(start + length)


def _caf_end(source: BinaryIO, size: int) -> int | None:
    pos = 8
    while len(head := _at(source, pos, 12)) == 12:
        length = int.from_bytes(head[4:], "big", signed=True)
        if length < 0:  # the data chunk of a stream runs to the end
            return None
        pos += 12 + length
    return pos


def _w64_end(source: BinaryIO, size: int) -> int | None:
    pos = 40
    while len(head := _at(source, pos, 24)) == 24:
        length = int.from_bytes(head[16:], "little")  # counts these 24 bytes
        if head[:4] == b"data":
            return pos + length
        pos += max(24, length + 7 & ~7)
    return None


def _wavpack_end(source: BinaryIO, size: int) -> int | None:
    pos = 0
    while (head := _at(source, pos, 8))[:4] == b"wvpk":
        pos += 8 + int.from_bytes(head[4:], "little")
    return pos


def _amr_end(source: BinaryIO, size: int) -> int | None:
    """The end of the last frame, whose mode gives its size (RFC 4867, 5.3)."""
    is_wide = _at(source, 0, 9) == b"#!AMR-WB\n"
    if not is_wide and _at(source, 0, 6) != b"#!AMR\n":
        return None
    sizes, pos = (_AMR_WB, 9) if is_wide else (_AMR_NB, 6)
    start = pos
    while block := _at(source, start, 1 << 16):
        while pos < start + len(block):
            pos += sizes[block[pos - start] >> 3 & 15]
        start = pos
    return pos


def _boxes_end(source: BinaryIO, size: int) -> int | None:
    """The end of the first top-level box that runs past the file (ISO/IEC 14496-12, 4.2)."""
    pos, seen = 0, set[bytes]()
    for _ in range(_MAX_BOXES):
        head = _at(source, pos, 16)
        if len(head) < 8 or not head[4:8].isalnum():  # the end, or junk after it
            break
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:], "big") if length == 1 else length
        if length == 0:
            return None
        if length < 8 or pos + length > size:
            return pos + length
        seen.add(head[4:8])
        pos += length
    return size + 8 if b"mdat" in seen and b"moov" not in seen else None  # the index, written last, is gone


def _matroska_end(source: BinaryIO, size: int) -> int | None:
    pos = 4
    length, width = _vint(_at(source, pos, 8))
    pos += width + (length or 0)
    head = _at(source, pos, 12)
    if head[:4] != b"\x18\x53\x80\x67":  # Segment
        return None
    length, width = _vint(head[4:])
    return None if length is None else pos + 4 + width + length


def _vint(raw: bytes) -> tuple[int | None, int]:
    """An EBML length and its width in bytes; None where all its bits are set, which says unknown (RFC 8794, 6.2)."""
    width = 9 - raw[0].bit_length() if raw and raw[0] else 8
    bits = 7 * width
    value = int.from_bytes(raw[:width], "big") & ((1 << bits) - 1)
    return (None if value == (1 << bits) - 1 else value), width


def _ogg_end(source: BinaryIO, size: int) -> int | None:
    start = max(0, size - 65_307)  # the largest page (RFC 3533, 6)
    tail = _at(source, start, size - start)
    page = tail.rfind(b"OggS")
    if page < 0:
        return None
    head = tail[page : page + 27]
    n_lacing = head[26] if len(head) == 27 else 1
    lacing = tail[page + 27 : page + 27 + n_lacing].ljust(n_lacing, b"\1")
    return start + page + 27 + n_lacing + sum(lacing)


def _mp3_end(source: BinaryIO, size: int) -> int | None:
    start = 0
    head = _at(source, 0, 10)
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    frame = _at(source, start, 64)
    for offset in (13, 21, 36, 15, 23, 38):  # after side information of MPEG 2 and 1, mono and stereo, with CRC
        if frame[offset : offset + 4] in (b"Xing", b"Info"):
            fields = frame[offset + 4 : offset + 16]
            flags = int.from_bytes(fields[:4], "big")
            at = 8 if flags & 1 else 4
            return start + int.from_bytes(fields[at : at + 4], "big") if flags & 2 else None
    return start if start > size else None


_BY_MAGIC: dict[bytes, _Walk] = {
    b".snd": _au_end,
    b"caff": _caf_end,
    b"riff": _w64_end,
    b"wvpk": _wavpack_end,
    b"#!AM": _amr_end,
    b"OggS": _ogg_end,
    b"\x1aE\xdf\xa3": _matroska_end,
}
