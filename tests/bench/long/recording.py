"""A long recording, made of the bundled samples with pauses between them, and its segments as a gateway cuts them."""

import asyncio
import io
import itertools
import random
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from gateway.audio import SAMPLE_RATE_HZ, AudioSettings, open_recording
from gateway.audio.blocks import Int16Array
from gateway.bench.recordings import clips_of, wav

# Of sentences some follow at once and others after a breath: segments of 1 to 20 s, of 4 in the mean.
_PAUSES_S: Final = (0.2, 1.2)
# So many say what all are like: the bare script goes through them again and again.
_SEGMENTS: Final = 240


def write_recording(file: Path, minutes: float) -> Path:
    """A wav of that length; the same one every time."""
    with wave.open(str(file), "wb") as output:
        output.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        missing = round(minutes * 60 * SAMPLE_RATE_HZ)
        for part in _parts():
            output.writeframes(part[:missing].tobytes())
            missing -= min(missing, len(part))
            if not missing:
                return file
    raise AssertionError("the parts have no end")


def _parts() -> Iterator[Int16Array]:
    pauses = random.Random(0)
    for clip in itertools.cycle(clips_of([], as_wav=True)):
        yield samples_of(clip.audio)
        yield np.zeros(round(pauses.uniform(*_PAUSES_S) * SAMPLE_RATE_HZ), np.int16)


def samples_of(audio: bytes) -> Int16Array:
    """What a wav of ours holds."""
    with wave.open(io.BytesIO(audio)) as clip:
        return np.frombuffer(clip.readframes(clip.getnframes()), "<i2").astype(np.int16, copy=False)


def write_segments(recording: Path, folder: Path) -> float:
    """The first of its segments as wav files, in their order; returns the seconds of speech of all of them."""
    return asyncio.run(_write_segments(recording, folder))


async def _write_segments(recording: Path, folder: Path) -> float:
    with recording.open("rb") as source:
        heard = await open_recording(source, AudioSettings())
    with heard:
        for segment in heard.segments[:_SEGMENTS]:
            pcm = np.rint(heard.read(segment) * 32768).astype(np.int16)
            (folder / f"{segment.index:05}.wav").write_bytes(wav(pcm))
        return sum(segment.seconds for segment in heard.segments)
