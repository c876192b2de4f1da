"""The plainest of files, read without FFmpeg: a WAV of one channel in 16 bits, as most clients that send speech do.

FFmpeg gives the same samples; to begin and end with it costs more than all else that is done with a short recording.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from gateway.audio.blocks import Block

_PCM: Final = 1
_FORMAT: Final = struct.Struct("<HHIIHH")
_CHUNK: Final = struct.Struct("<4sI")
_FIRST_CHUNK: Final = 36
_MAX_CHUNKS: Final = 16
_STREAMED_FROM: Final = 0x7FFF0000  # lengths that writers give who do not know
_BLOCK_BYTES: Final = 1 << 17


class PlainWav(NamedTuple):
    """Where the samples are."""

    rate_hz: int
    start: int
    n_bytes: int

    def blocks(self, source: BinaryIO) -> Iterator[Block]:
        """The sound, as far as the file goes."""
        source.seek(self.start)
        left = self.n_bytes
        while left > 1 and len(raw := source.read(min(left, _BLOCK_BYTES))) > 1:
            left -= len(raw)
            yield Block(np.frombuffer(raw, "<i2", len(raw) // 2)[None], self.rate_hz)


def plain_wav(source: BinaryIO) -> PlainWav | None:
    """What the head of a file says; None where it is anything but plain, or does not say how long it is."""
    source.seek(0)
    head = source.read(_FIRST_CHUNK)
    if len(head) < _FIRST_CHUNK or head[:4] != b"RIFF" or head[8:20] != b"WAVEfmt \x10\0\0\0":
        return None
    tag, channels, rate_hz, _, frame_bytes, bits = _FORMAT.unpack(head[20:])
    if (tag, channels, frame_bytes, bits) != (_PCM, 1, 2, 16):
        return None
    return _samples(source, rate_hz)


def _samples(source: BinaryIO, rate_hz: int) -> PlainWav | None:
    at = _FIRST_CHUNK
    for _ in range(_MAX_CHUNKS):
        source.seek(at)
        if len(head := source.read(_CHUNK.size)) < _CHUNK.size:
            return None
        name, n_bytes = _CHUNK.unpack(head)
        at += _CHUNK.size
        if name == b"data":
            return PlainWav(rate_hz, at, n_bytes) if 0 < n_bytes < _STREAMED_FROM else None
        if name == b"fmt " or n_bytes % 2:  # writers do not agree on what follows an odd one
            return None
        at += n_bytes
    return None
