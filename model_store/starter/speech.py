"""Speech from espeak-ng, and what a room and a microphone add to it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from model_store.errors import ImportFailed

SAMPLE_RATE_HZ = 16000
ESPEAK_RATE_HZ = 22050
WAV_HEADER_BYTES = 44
INT16_MAX = 32767.0

# Voices that no training sentence is spoken in. One of each kind: female, male, Klatt's synthesiser, a named one.
HELDOUT_VARIANTS = ("f3", "m5", "klatt4", "Annie")
# fmt: off
TRAINING_VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f4", "f5", "klatt", "klatt2", "klatt3", "Alex", "Alicia",
    "Andrea", "Andy", "Denis", "Gene", "Hugo", "Lee", "Mario", "Michael", "adam", "anika", "belinda", "david", "ed",
    "iven", "linda", "max", "quincy", "robert", "shelby", "steph",
)
# fmt: on

Float32Array = npt.NDArray[np.float32]
Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Speaker:
    """One way of speaking: an espeak-ng voice and variant, words per minute, and pitch from 0 to 99."""

    voice: str
    variant: str
    speed: int
    pitch: int


@dataclass(frozen=True)
class Scene:
    """What surrounds the speech: silence before, between and after, loudness, and noise (None: none at all)."""

    lead_s: float
    pause_s: float
    trail_s: float
    peak: float
    snr_db: float | None
    seed: int


def speak(text: str, speaker: Speaker) -> Float32Array:
    """Say `text`; returns (N,) float32 in [-1, 1] at 16 kHz. Raises ImportFailed where espeak-ng fails."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise ImportFailed("espeak-ng is needed to train the starter models: install it, e.g. `apt install espeak-ng`")
    voice = f"{speaker.voice}+{speaker.variant}"
    command = [program, "-v", voice, "-s", str(speaker.speed), "-p", str(speaker.pitch), "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=False)
    # espeak-ng cannot know the length when it writes the header, so the header's length is not to be trusted.
    samples = np.frombuffer(spoken.stdout[WAV_HEADER_BYTES:], dtype="<i2")
    if spoken.returncode != 0 or samples.size == 0:
        raise ImportFailed(
            f"espeak-ng did not speak in voice {voice}: {spoken.stderr.decode(errors='replace').strip()}"
        )
    resampled: Float32Array = soxr.resample(samples.astype(np.float32) / 32768.0, ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)
    return resampled


def stage(parts: list[Float32Array], scene: Scene) -> Int16Array:
    """Join what was said with pauses, set its loudness and add noise; returns (N,) int16 at 16 kHz."""
    rng = np.random.default_rng(scene.seed)
    pieces = [_silence(scene.lead_s)]
    for index, part in enumerate(parts):
        pieces += [_silence(scene.pause_s), part] if index else [part]
    x = np.concatenate([*pieces, _silence(scene.trail_s)])
    x = x * (scene.peak / max(1e-3, float(np.abs(x).max())))
    if scene.snr_db is not None:
        x = x + noise(x.size, rng) * float(np.sqrt((x**2).mean())) * 10 ** (-scene.snr_db / 20)
    return to_int16(x)


def noise(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Make noise of unit deviation whose spectrum falls by 0 to 6 dB an octave: white, pink, brown and between."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    bins = np.arange(1, spectrum.size + 1) / spectrum.size
    coloured = np.fft.irfft(spectrum * bins ** -rng.uniform(0.0, 1.0), n_samples)
    return (coloured / max(1e-9, float(coloured.std()))).astype(np.float32)


def to_int16(x: npt.NDArray[Any]) -> Int16Array:
    """[-1, 1] float to 16-bit samples, clipped."""
    samples: Int16Array = (np.clip(x, -1.0, 1.0) * INT16_MAX).astype(np.int16)
    return samples


def _silence(seconds: float) -> Float32Array:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
