"""Made speech, and files of every kind to put it into."""

import io
import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def _speech(duration_s: float, rate_hz: int = 16_000, pitch_hz: float = 120.0) -> Array:
    """Voiced syllables, one and a half a second: harmonics below 3 kHz under two formants, defined at any time.

    Being a function of time, it is its own oracle at every sample rate.
    """
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    phase = 2 * np.pi * pitch_hz * t + 4 * np.sin(2 * np.pi * 0.7 * t)
    sound = np.zeros_like(t)
    for k in range(1, int(3000 / pitch_hz)):
        formants = np.exp(-(((k * pitch_hz - 600) / 500) ** 2) / 2) + 0.3 * np.exp(
            -(((k * pitch_hz - 1800) / 500) ** 2) / 2
        )
        sound += formants * np.sin(k * phase)
    return 0.05 * sound * np.sin(2 * np.pi * 0.75 * t) ** 2


def _wav(
    sound: Array | bytes, rate_hz: int = 16_000, *, n_channels: int = 1, bits: int = 16, tag: int = 1, **says: int
) -> bytes:
    """A wav written by hand; `says` overrides what the header says: data_bytes, rate, channels."""
    data = sound if isinstance(sound, bytes) else np.rint(sound * 32768).astype("<i2").tobytes()
    n_bytes = says.get("data_bytes", len(data))
    rate, channels = says.get("rate", rate_hz), says.get("channels", n_channels)
    frame_bytes = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame_bytes & 0xFFFFFFFF, frame_bytes & 0xFFFF, bits)
    riff_bytes = min(36 + n_bytes, 0xFFFFFFFF)
    return (
        b"RIFF"
        + struct.pack("<I", riff_bytes)
        + b"WAVEfmt \x10\0\0\0"
        + fmt
        + b"data"
        + struct.pack("<I", n_bytes)
        + data
    )


def _encode(sound: Array, codec: str, container: str, rate_hz: int = 16_000, **more: Any) -> bytes:
    """Encodes (samples,) or (channels, samples) with PyAV; `with_video` adds a picture track before it."""
    channels = np.atleast_2d(sound)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        if more.get("with_video"):
            _add_pictures(output)
        stream = output.add_stream(codec, rate=rate_hz)
        stream.layout = _LAYOUTS[len(channels)]
        stream.codec_context.options = {"strict": "-2"}
        if "bit_rate" in more:
            stream.bit_rate = more["bit_rate"]
        packed = np.ascontiguousarray(channels.T.reshape(1, -1).astype(np.float32))
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=_LAYOUTS[len(channels)])
        frame.sample_rate, frame.pts = rate_hz, 0
        # Opening the codec tells its frame size and sample format.
        stream.codec_context.open()
        shaper = av.AudioResampler(
            stream.codec_context.format, stream.layout, rate_hz, frame_size=stream.codec_context.frame_size or 1024
        )
        if more.get("with_video"):
            _mux_pictures(output)
        for shaped in [*shaper.resample(frame), *shaper.resample(None), None]:
            output.mux(stream.encode(shaped))
    return file.getvalue()


def _add_pictures(output: av.container.OutputContainer) -> None:
    output.add_stream("mpeg4", rate=5, width=64, height=64, pix_fmt="yuv420p")


def _mux_pictures(output: av.container.OutputContainer) -> None:
    stream = output.streams.video[0]
    for shade in range(0, 100, 10):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8))))
    output.mux(stream.encode(None))


@pytest.fixture(scope="session")
def speech() -> Callable[..., Array]:
    return _speech


@pytest.fixture(scope="session")
def wav() -> Callable[..., bytes]:
    return _wav


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    return _encode


@pytest.fixture(scope="session")
def silent_film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        _add_pictures(output)
        _mux_pictures(output)
    return file.getvalue()
