"""Made speech, and files of many kinds to put it into."""

import io
import struct
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
Array = NDArray[np.float64]


def speech(duration_s: float, rate_hz: int = RATE_HZ, pitch_hz: float = 120.0) -> Array:
    """Voiced syllables, one and a half a second: harmonics below 3 kHz under two formants."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    phase = 2 * np.pi * pitch_hz * t + 4 * np.sin(2 * np.pi * 0.7 * t)
    sound = np.zeros_like(t)
    for k in range(1, int(3000 / pitch_hz)):
        low, high = (np.exp(-(((k * pitch_hz - formant_hz) / 500) ** 2) / 2) for formant_hz in (600, 1800))
        sound += (low + 0.3 * high) * np.sin(k * phase)
    return 0.05 * sound * np.sin(2 * np.pi * 0.75 * t) ** 2


def wav(sound: Array | bytes, rate_hz: int = RATE_HZ, *, n_channels: int = 1, data_bytes: int | None = None) -> bytes:
    """A wav of 16 bits written by hand; `data_bytes` is what its header says instead of the truth."""
    data = sound if isinstance(sound, bytes) else np.rint(sound * 32767).astype("<i2").tobytes()
    n_bytes = len(data) if data_bytes is None else data_bytes
    fmt = struct.pack("<HHIIHH", 1, n_channels, rate_hz, (rate_hz * n_channels * 2) & 0xFFFFFFFF, n_channels * 2, 16)
    sizes = struct.pack("<I", 36 + n_bytes), struct.pack("<I", n_bytes)
    return b"RIFF" + sizes[0] + b"WAVEfmt \x10\0\0\0" + fmt + b"data" + sizes[1] + data


def encoded(sound: Array, codec: str, container: str, rate_hz: int = RATE_HZ, **options: Any) -> bytes:
    """One channel of sound, through PyAV's encoders."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz, layout="mono", **options)
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        shaper = av.AudioResampler(stream.codec_context.format, "mono", rate_hz, frame_size=size)
        for shaped in [*shaper.resample(frame), *shaper.resample(None), None]:
            output.mux(stream.encode(shaped))
    return file.getvalue()


def silent_film() -> bytes:
    """Pictures without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream: Any = output.add_stream("mpeg4", rate=5, width=64, height=64, pix_fmt="yuv420p")
        for shade in range(0, 100, 10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8))))
        output.mux(stream.encode(None))
    return file.getvalue()
