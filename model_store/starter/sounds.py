"""Sounds in which nobody says anything: what the language classifier is to call `other`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array, noise

Sound = Callable[[int, np.random.Generator], Float32Array]

SEMITONE = 2 ** (1 / 12)
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 7, 12), (0,), (0, 5, 9))


def silence(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Nothing, or the hiss of a quiet line."""
    hiss = rng.standard_normal(n_samples) * 10 ** rng.uniform(-5.0, -3.0)
    return (hiss * (rng.random() < 0.7)).astype(np.float32)


def rushing(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """White to brown noise that swells and fades slowly, as wind and traffic do."""
    times = np.arange(n_samples) / SAMPLE_RATE_HZ
    swell = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.1, 2.0) * times + rng.uniform(0, 6))
    return _scaled(noise(n_samples, rng) * swell, rng)


def chatter(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Noise in the rhythm of syllables: three to eight bursts a second."""
    envelope = np.zeros(n_samples)
    for start in np.cumsum(rng.uniform(0.12, 0.33, size=n_samples // 1600 + 1)) * SAMPLE_RATE_HZ:
        length = int(rng.uniform(0.05, 0.2) * SAMPLE_RATE_HZ)
        room = envelope[int(start) : int(start) + length]
        room += np.hanning(length)[: room.size]
    return _scaled(noise(n_samples, rng) * envelope, rng)


def tone(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """A steady, sweeping or beeping tone: dial tones, alarms, test signals."""
    times = np.arange(n_samples) / SAMPLE_RATE_HZ
    pitch = 10 ** rng.uniform(1.8, 3.6) * (1 + rng.uniform(-0.3, 0.3) * (rng.random() < 0.4) * times)
    x = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ)
    if rng.random() < 0.5:
        x = x * (np.sin(2 * np.pi * rng.uniform(0.5, 5.0) * times) > 0)
    return _scaled(x + noise(n_samples, rng) * 10 ** rng.uniform(-4, -1), rng)


def hum(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Chords with overtones that change a few times a second: something like music."""
    times = np.arange(n_samples) / SAMPLE_RATE_HZ
    x = np.zeros(n_samples)
    hold = int(rng.uniform(0.15, 0.8) * SAMPLE_RATE_HZ)
    for start in range(0, n_samples, hold):
        span = times[start : start + hold]
        root = 110 * SEMITONE ** rng.integers(0, 25)
        for step in CHORDS[rng.integers(len(CHORDS))]:
            for overtone in range(1, 6):
                x[start : start + hold] += np.sin(2 * np.pi * root * SEMITONE**step * overtone * span) / overtone**1.5
        x[start : start + hold] *= np.exp(-rng.uniform(0, 4) * (span - span[0]))
    return _scaled(x + noise(n_samples, rng) * 10 ** rng.uniform(-4, -1), rng)


def clicks(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Knocks and keys: short decaying bursts over a faint hiss."""
    x = noise(n_samples, rng) * 10 ** rng.uniform(-3.5, -2)
    for start in rng.integers(0, n_samples, size=rng.integers(1, 30)):
        burst = noise(800, rng) * np.exp(-np.arange(800) / rng.uniform(20, 200))
        room = x[start : start + 800]
        room += burst[: room.size]
    return _scaled(x, rng)


def babble(n_samples: int, rng: np.random.Generator, voices: Sequence[Float32Array]) -> Float32Array:
    """Many voices at once, each played backwards: a crowd in which no language can be made out."""
    return _scaled(crowd(n_samples, rng, voices), rng)


def crowd(n_samples: int, rng: np.random.Generator, voices: Sequence[Float32Array]) -> Float32Array:
    """Five to nine of `voices` backwards, one over the other, as loud as they are."""
    x = np.zeros(n_samples, dtype=np.float32)
    for _ in range(rng.integers(5, 10)):
        voice = voices[int(rng.integers(len(voices)))][::-1]
        x += np.roll(np.resize(voice, n_samples), rng.integers(n_samples))
    return x


SOUNDS: tuple[Sound, ...] = (silence, rushing, chatter, tone, hum, clicks)


def _scaled(x: npt.NDArray[np.float64] | Float32Array, rng: np.random.Generator) -> Float32Array:
    peak = max(1e-6, float(np.abs(x).max()))
    return (x * (10 ** rng.uniform(-2.5, -0.05) / peak)).astype(np.float32)
