"""Speech from espeak-ng, and what a room and a microphone add to it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from model_store.errors import ImportFailed
from model_store.starter.texts.readings import respelt

SAMPLE_RATE_HZ = 16000
ESPEAK_RATE_HZ = 22050
WAV_HEADER_BYTES = 44
INT16_MAX = 32767.0

# Plain `cmn` reads pinyin through English letter names; this voice speaks it. The other likewise takes jyutping.
VOICES = {"zh": "cmn-latn-pinyin", "yue": "yue-latn-jyutping", "en": "en"}
# fmt: off
# The frozen test sets are spoken in these, and nothing else is: female, male, old, Klatt's synthesiser, named ones.
FROZEN_VARIANTS = (
    "f3", "m5", "klatt4", "Annie", "Diogo", "Henrique", "Jacky", "benjamin", "grandma", "marcelo", "paul", "zac",
)
# A training that is under way is judged in these.
HELDOUT_VARIANTS = ("caleb", "john", "norbert", "klatt6")
TRAINING_VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt5", "Alex",
    "Alicia", "Andrea", "Andy", "Denis", "Gene", "Hugo", "Lee", "Mario", "Michael", "Mike", "Mr", "Nguyen", "Storm",
    "Tweaky", "adam", "anika", "announcer", "antonio", "aunty", "belinda", "boris", "croak", "david", "ed", "edward",
    "edward2", "grandpa", "gustave", "iven", "iven2", "iven3", "iven4", "linda", "max", "michel", "miguel", "pablo",
    "pedro", "quincy", "rob", "robert", "robosoft8", "sandro", "shelby", "steph", "steph2", "steph3", "victor",
    "whisper",
)
# fmt: on
# English inside another language is said no faster than this, in words per minute.
FASTEST_ENGLISH = 185
LATIN = re.compile(r"[a-z' ]*[a-z][a-z' ]*")
QUIET = 1e-3
KEPT_SILENCE_S = 0.03
FAST_SAMPLES = 8192

Float32Array = npt.NDArray[np.float32]
Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Speaker:
    """One way of speaking: language (zh, yue, en), voice variant, words per minute, and pitch from 0 to 99.

    A language such as `zh-en` speaks English words in English, and all others in the language before the dash.
    """

    language: str
    variant: str
    speed: int
    pitch: int


@dataclass(frozen=True)
class Scene:
    """How speech is recorded: silence before, between and after in seconds, and loudness (1: full scale)."""

    lead_s: float
    pause_s: float
    trail_s: float
    peak: float


def speak(text: str, speaker: Speaker) -> Float32Array:
    """Say `text`; returns (N,) float32 in [-1, 1] at 16 kHz. Raises ImportFailed where espeak-ng fails."""
    native, _, other = speaker.language.partition("-")
    if not other:
        return _speak(text, native, speaker, speaker.speed)
    pieces = []
    for part in re.split(f"({LATIN.pattern})", text):
        if LATIN.fullmatch(part):
            pieces.append(_trimmed(_speak(part.strip(), other, speaker, min(speaker.speed, FASTEST_ENGLISH))))
        elif part:
            pieces.append(_trimmed(_speak(part, native, speaker, speaker.speed)))
    return np.concatenate(pieces)


def _speak(text: str, language: str, speaker: Speaker, speed: int) -> Float32Array:
    program = shutil.which("espeak-ng")
    if program is None:
        raise ImportFailed("espeak-ng is needed to train the starter models: install it, e.g. `apt install espeak-ng`")
    voice = f"{VOICES[language]}+{speaker.variant}"
    command = [program, "-v", voice, "-s", str(speed), "-p", str(speaker.pitch), "--stdout", respelt(text, language)]
    spoken = subprocess.run(command, capture_output=True, check=False)
    # espeak-ng cannot know the length when it writes the header, so the header's length is not to be trusted.
    samples = np.frombuffer(spoken.stdout[WAV_HEADER_BYTES:], dtype="<i2")
    if spoken.returncode != 0 or samples.size == 0:
        raise ImportFailed(
            f"espeak-ng did not speak in voice {voice}: {spoken.stderr.decode(errors='replace').strip()}"
        )
    resampled: Float32Array = soxr.resample(samples.astype(np.float32) / 32768.0, ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)
    return resampled


def _trimmed(x: Float32Array) -> Float32Array:
    """Without the silence at both ends, so that a change of language inside a sentence is no pause."""
    loud = np.flatnonzero(np.abs(x) > QUIET)
    kept = round(KEPT_SILENCE_S * SAMPLE_RATE_HZ)
    return x[max(0, loud[0] - kept) : loud[-1] + kept] if loud.size else x


def stage(parts: list[Float32Array], scene: Scene) -> Float32Array:
    """Join what was said with pauses and set its loudness; returns (N,) float32 at 16 kHz."""
    pieces = [_silence(scene.lead_s)]
    for index, part in enumerate(parts):
        pieces += [_silence(scene.pause_s), part] if index else [part]
    x = np.concatenate([*pieces, _silence(scene.trail_s)])
    staged: Float32Array = x * np.float32(scene.peak / max(1e-3, float(np.abs(x).max())))
    return staged


def noise(n_samples: int, rng: np.random.Generator) -> Float32Array:
    """Make noise of unit deviation whose spectrum falls by 0 to 6 dB an octave: white, pink, brown and between."""
    # A length that Fourier transforms are fast at; what is too much is cut off.
    n_made = -(-n_samples // FAST_SAMPLES) * FAST_SAMPLES
    spectrum = np.fft.rfft(rng.standard_normal(n_made))
    bins = np.arange(1, spectrum.size + 1) / spectrum.size
    coloured = np.fft.irfft(spectrum * bins ** -rng.uniform(0.0, 1.0), n_made)[:n_samples]
    return (coloured / max(1e-9, float(coloured.std()))).astype(np.float32)


def to_int16(x: npt.NDArray[Any]) -> Int16Array:
    """[-1, 1] float to 16-bit samples, clipped."""
    samples: Int16Array = (np.clip(x, -1.0, 1.0) * INT16_MAX).astype(np.int16)
    return samples


def _silence(seconds: float) -> Float32Array:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
