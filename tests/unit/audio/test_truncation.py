"""A cut upload is told apart wherever its container says how long it is."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gateway.audio import AudioSettings, open_recording
from model_store.errors import AudioTruncated

Maker = Callable[..., Any]

DECLARING = [
    ("pcm_s16le", "wav", 16_000),
    ("pcm_s16le", "w64", 16_000),
    ("pcm_s16be", "aiff", 16_000),
    ("pcm_mulaw", "au", 8_000),
    ("pcm_s16be", "caf", 16_000),
    ("pcm_s16le", "avi", 16_000),
    ("flac", "flac", 16_000),
    ("tta", "tta", 16_000),
    ("wavpack", "wv", 16_000),
    ("libmp3lame", "mp3", 16_000),
    ("libopus", "ogg", 48_000),
    ("libopus", "webm", 48_000),
    ("aac", "ipod", 44_100),
    ("libopencore_amrnb", "amr", 8_000),
    ("libopencore_amrnb", "3gp", 8_000),
]


async def opened_s(data: bytes) -> float:
    with await open_recording(io.BytesIO(data), AudioSettings()) as recording:
        return recording.duration_s


@pytest.mark.parametrize(("codec", "container", "rate_hz"), DECLARING)
async def test_open_file_cut_anywhere_in_its_sound_is_truncated(
    codec: str, container: str, rate_hz: int, encode: Maker, speech: Maker
) -> None:
    more = {"bit_rate": 12_200} if "amr" in codec else {}
    whole = encode(speech(3.0, rate_hz), codec, container, rate_hz, **more)
    assert abs(await opened_s(whole) - 3.0) < 0.15
    for share in (0.37, 0.52, 0.73):
        n_bytes = int(share * len(whole)) | 1  # never between two AMR frames
        with pytest.raises(AudioTruncated) as caught:
            await opened_s(whole[:n_bytes])
        assert caught.value.param == "file"


@pytest.mark.parametrize(("codec", "container"), [("flac", "flac"), ("alac", "ipod"), ("vorbis", "ogg")])
async def test_open_file_that_lacks_its_last_byte_is_truncated(
    codec: str, container: str, encode: Maker, speech: Maker
) -> None:
    with pytest.raises(AudioTruncated):
        await opened_s(encode(np.stack([speech(2.0)] * 2), codec, container)[:-1])


@pytest.mark.parametrize(("n_missing", "is_truncated"), [(64, False), (66, True)])
async def test_open_wav_allows_a_miscounted_header_and_no_more(
    n_missing: int, is_truncated: bool, wav: Maker, speech: Maker
) -> None:
    data = wav(speech(2.0), data_bytes=64_000 + n_missing)
    if is_truncated:
        with pytest.raises(AudioTruncated):
            await opened_s(data)
    else:
        assert await opened_s(data) == 2.0


async def test_open_wav_of_nothing_but_a_header_is_truncated(wav: Maker, speech: Maker) -> None:
    for n_bytes in (20, 44):
        with pytest.raises(AudioTruncated):
            await opened_s(wav(speech(2.0))[:n_bytes])


async def test_open_wav_with_junk_after_its_sound_is_whole(wav: Maker, speech: Maker) -> None:
    assert await opened_s(wav(speech(2.0)) + b"junk\xff\xff\xff\x7f and more") == 2.0


async def test_open_rf64_counts_in_its_64_bit_length(wav: Maker, speech: Maker) -> None:
    plain = wav(speech(2.0), data_bytes=0xFFFFFFFF)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 64_072, 64_000, 32_000, 0)
    data = b"RF64\xff\xff\xff\xff" + plain[8:12] + ds64 + plain[12:]
    assert await opened_s(data) == 2.0
    with pytest.raises(AudioTruncated):
        await opened_s(data[:40_000])


async def test_open_mp4_without_its_index_is_truncated(encode: Maker, speech: Maker) -> None:
    whole = encode(speech(2.0), "aac", "mp4")
    with pytest.raises(AudioTruncated):
        await opened_s(whole[: whole.index(b"moov") - 4])


async def test_open_live_webm_of_unknown_size_is_whole(encode: Maker, speech: Maker) -> None:
    data = bytearray(encode(speech(2.0, 48_000), "libopus", "webm", 48_000))
    at = data.index(b"\x18\x53\x80\x67") + 4  # the size of the Segment, in eight bytes
    assert data[at] == 1
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    assert await opened_s(bytes(data[: len(data) * 3 // 4])) > 1.0


async def test_open_lengths_beyond_64_bits_stay_in_the_tree(encode: Maker, speech: Maker) -> None:
    data = bytearray(encode(speech(2.0), "pcm_s16be", "caf"))
    at = data.index(b"desc") + 4
    data[at : at + 8] = b"\x7f" + b"\xff" * 7
    with pytest.raises(AudioTruncated):
        await opened_s(bytes(data))


async def test_open_file_damaged_in_the_middle_keeps_its_times(encode: Maker, speech: Maker) -> None:
    """Players go on after a bad packet, and so do we: the hole is silence, what follows stays where it was."""
    for codec, container in (("flac", "flac"), ("libopus", "webm"), ("aac", "mp4")):
        rate_hz = 48_000 if codec == "libopus" else 16_000
        data = bytearray(encode(speech(12.0, rate_hz), codec, container, rate_hz))
        third = len(data) // 3
        data[third : third + 300] = np.random.default_rng(3).bytes(300)
        assert abs(await opened_s(bytes(data)) - 12.0) < 0.3
