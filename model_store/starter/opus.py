"""Speech as Ogg Opus files and back, through the codecs that PyAV brings."""

from __future__ import annotations

import io

import av
import numpy as np
import soxr

from model_store.errors import ArtifactCorrupt
from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array, to_int16

BIT_RATE = 14000
# Opus always decodes to this.
OPUS_RATE_HZ = 48000


def encode(x: Float32Array, bit_rate: int = BIT_RATE, effort: int = 10) -> bytes:
    """(N,) float32 in [-1, 1] at 16 kHz to an Ogg Opus file, mono, of about `bit_rate` bits a second; effort 0-10."""
    file = io.BytesIO()
    # Without the flag each file has a random serial number, and none is ever made twice.
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libopus", rate=SAMPLE_RATE_HZ, options={"application": "voip", "compression_level": str(effort)}
        )
        stream.layout, stream.bit_rate = "mono", bit_rate
        frame = av.AudioFrame.from_ndarray(to_int16(x)[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def decode(raw: bytes, n_samples: int) -> Float32Array:
    """Decode an Ogg Opus file to (n_samples,) float32 at 16 kHz; raises ArtifactCorrupt when it cannot be."""
    try:
        with av.open(io.BytesIO(raw), "r") as container:
            frames = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    except av.error.FFmpegError as exc:
        raise ArtifactCorrupt(f"A clip of a test set cannot be decoded: {exc}. Check out the file again.") from exc
    x = soxr.resample(np.concatenate(frames).astype(np.float32), OPUS_RATE_HZ, SAMPLE_RATE_HZ)
    return np.pad(x, (0, max(0, n_samples - x.size)))[:n_samples].astype(np.float32)
