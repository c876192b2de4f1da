"""Plain WAV without FFmpeg: the same samples, and nothing that is not plain."""

import io
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.audio.decode import decode
from gateway.audio.resample import resampled
from gateway.audio.wave import plain_wav

Maker = Callable[..., Any]
PLAIN_FMT, LONG_FMT = b"fmt \x10\0\0\0", b"fmt \x12\0\0\0"


def samples(data: bytes) -> NDArray[np.float32]:
    return np.concatenate([block.floats for block in decode(io.BytesIO(data), threading.Event())], axis=1)


def by_ffmpeg(data: bytes) -> bytes:
    """The same with two bytes more in its head: nothing in them, but plain it is no more."""
    head, rest = data[:36], data[36:]
    longer = head.replace(PLAIN_FMT, LONG_FMT)
    return longer[:4] + struct.pack("<I", len(data) - 6) + longer[8:] + b"\0\0" + rest


def with_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    """A chunk before the sound."""
    chunk = name + struct.pack("<I", len(content)) + content
    return data[:4] + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:36] + chunk + data[36:]


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 16_000, 44_100])
@pytest.mark.parametrize("n_samples", [1, 4_097, 16_384, 50_001])
def test_plain_wav_has_the_samples_that_ffmpeg_finds(wav: Maker, rate_hz: int, n_samples: int) -> None:
    raw = np.random.default_rng(n_samples).integers(-32768, 32768, n_samples).astype("<i2").tobytes()
    data = wav(raw, rate_hz)
    assert plain_wav(io.BytesIO(data)) == (rate_hz, 44, 2 * n_samples)
    assert plain_wav(io.BytesIO(by_ffmpeg(data))) is None
    assert np.array_equal(samples(data), samples(by_ffmpeg(data)))


def test_plain_wav_of_the_wanted_rate_is_neither_scaled_nor_rounded(wav: Maker) -> None:
    loud = np.array([-32768, -1, 0, 1, 32767], "<i2")
    (lanes,) = resampled(decode(io.BytesIO(wav(loud.tobytes())), threading.Event()), "mix")
    assert lanes.dtype == np.int16
    assert lanes.tolist() == [loud.tolist()]


def test_plain_wav_with_half_a_sample_at_its_end_leaves_it_out(wav: Maker) -> None:
    assert (
        samples(wav(b"\1\0\2\0\3")).tolist()
        == samples(by_ffmpeg(wav(b"\1\0\2\0\3"))).tolist()
        == [[1 / 32768, 2 / 32768]]
    )


def test_plain_wav_a_chunk_before_the_sound_is_passed_over(wav: Maker, speech: Maker) -> None:
    data = wav(speech(1.0))
    tagged = with_chunk(data, b"LIST", b"INFOISFT\x04\0\0\0Lavf")
    assert plain_wav(io.BytesIO(tagged)) == (16_000, 44 + 24, 32_000)
    assert np.array_equal(samples(tagged), samples(data))


def test_plain_wav_junk_after_the_sound_is_no_sound(wav: Maker, speech: Maker) -> None:
    data = wav(speech(1.0))
    assert np.array_equal(samples(data + b"LIST\4\0\0\0junk"), samples(data))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"n_channels": 2}, "two channels"),
        ({"bits": 8}, "8 bits"),
        ({"tag": 3}, "another codec"),
        ({"data_bytes": 0}, "a stream"),
        ({"data_bytes": 0xFFFFFFFF}, "a stream"),
    ],
)
def test_plain_wav_of_anything_else_is_none(wav: Maker, said: dict[str, int], why: str) -> None:
    assert plain_wav(io.BytesIO(wav(bytes(64), **said))) is None, why


def test_plain_wav_of_an_odd_chunk_a_second_format_or_no_sound_is_none(wav: Maker) -> None:
    data = wav(bytes(64))
    assert plain_wav(io.BytesIO(with_chunk(data, b"LIST", b"odd"))) is None
    assert plain_wav(io.BytesIO(with_chunk(data, b"fmt ", data[20:36]))) is None
    assert plain_wav(io.BytesIO(data[:40])) is None
    assert plain_wav(io.BytesIO(b"")) is None
