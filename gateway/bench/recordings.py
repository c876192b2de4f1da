"""What is sent: recordings from files, folders or the bundled samples, as they are or cut to lengths."""

import io
import itertools
import threading
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
from msgspec import Struct

from gateway.audio import SAMPLE_RATE_HZ
from gateway.audio.blocks import Int16Array
from gateway.audio.decode import decode
from gateway.audio.resample import resampled
from model_store.errors import AudioMissing, OptionInvalid, VoxgateError
from model_store.starter.install import bundled_samples

LIST: Final = "samples.json"
_KINDS: Final = "wav flac mp3 ogg oga opus m4a mp4 aac webm mkv amr awb wma aif aiff au caf 3gp"
_SUFFIXES: Final = frozenset(f".{kind}" for kind in _KINDS.split())


class Listed(Struct, frozen=True):
    """What a folder's `samples.json` says of a file in it; more than this is passed over."""

    file: str
    language: str | None = None
    text: str | None = None


class Clip(Struct, frozen=True, kw_only=True):
    """A recording as it is sent. `text` is what a right answer says, None where nobody knows."""

    name: str
    audio: bytes
    duration_s: float
    language: str | None = None
    text: str | None = None


class _Recording(Struct, frozen=True):
    path: Path
    name: str
    language: str | None = None
    text: str | None = None


def clips_of(paths: Sequence[Path], *, cut_s: Sequence[float] = (), as_wav: bool = False) -> list[Clip]:
    """The clips of files and folders; where none are named, of the bundled samples that need no domain said.

    cut_s: lengths that all clips are to have, in turn; of the recordings of each language, joined end to end.
    as_wav: 16 kHz mono, whatever the file is; clips that are cut are so anyway.

    Raises OptionInvalid where there is no recording, and what `gateway.audio` says of a file that is none.
    """
    recordings = [one for path in paths for one in _recordings(path)] if paths else _bundled()
    if not recordings:
        raise OptionInvalid("There is no recording in what was named.", param="files")
    if cut_s:
        return _cut(recordings, cut_s)
    return [_whole(one, as_wav=as_wav) for one in recordings]


def _bundled() -> list[_Recording]:
    general = (sample for sample in bundled_samples() if sample.domain == "general")
    return [_Recording(sample.path, sample.file, sample.language, sample.text) for sample in general]


def _recordings(path: Path) -> list[_Recording]:
    if not path.is_dir():
        return [_Recording(path, path.name)]
    if (path / LIST).is_file():
        return [_Recording(path / one.file, one.file, one.language, one.text) for one in _list(path / LIST)]
    files = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in _SUFFIXES and file.is_file())
    return [_Recording(file, file.relative_to(path).as_posix()) for file in files]


def _list(path: Path) -> list[Listed]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Listed])
    except msgspec.DecodeError as exc:
        raise OptionInvalid(f"{path.parent.name}/{path.name}: {exc}.", param="files") from exc


def _whole(recording: _Recording, *, as_wav: bool) -> Clip:
    sound = _decoded(recording)
    return Clip(
        name=recording.name,
        audio=wav(sound) if as_wav else recording.path.read_bytes(),
        duration_s=len(sound) / SAMPLE_RATE_HZ,
        language=recording.language,
        text=recording.text,
    )


def _cut(recordings: list[_Recording], cut_s: Sequence[float]) -> list[Clip]:
    languages = dict.fromkeys(one.language for one in recordings)
    joined = {
        language: np.concatenate([_decoded(one) for one in recordings if one.language == language])
        for language in languages
    }
    return [clip for language, sound in joined.items() for clip in _pieces(sound, cut_s, language)]


def _pieces(sound: Int16Array, cut_s: Sequence[float], language: str | None) -> Iterator[Clip]:
    """Each length as often as the others; where there is too little sound for all of them once, it is repeated."""
    lengths = [round(length_s * SAMPLE_RATE_HZ) for length_s in cut_s]
    n_rounds = max(1, len(sound) // sum(lengths))
    sound = np.resize(sound, max(len(sound), sum(lengths)))
    bounds = itertools.pairwise(itertools.accumulate(lengths * n_rounds, initial=0))
    for number, (start, stop) in enumerate(bounds):
        name = f"{language or 'clip'}-{number:04}.wav"
        yield Clip(
            name=name, audio=wav(sound[start:stop]), duration_s=(stop - start) / SAMPLE_RATE_HZ, language=language
        )


def _decoded(recording: _Recording) -> Int16Array:
    """(n_samples,) at 16 kHz; raises what `gateway.audio` does, and names the file."""
    try:
        with recording.path.open("rb") as file:
            lanes = list(_lanes(file))
    except OSError as exc:
        raise OptionInvalid(f"{recording.name}: {exc.strerror}.", param="files") from exc
    except VoxgateError as error:
        raise type(error)(f"{recording.name}: {error.message}", param="files", **error.details) from error
    if not sum(map(len, lanes)):
        raise AudioMissing(f"{recording.name}: there is no sound in it.", param="files")
    return np.concatenate(lanes)


def _lanes(file: BinaryIO) -> Iterator[Int16Array]:
    return (lanes[0] for lanes in resampled(decode(file, threading.Event()), "mix"))


def wav(sound: Int16Array) -> bytes:
    """A WAV of 16 kHz, 16 bits, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        output.writeframes(sound.astype("<i2").tobytes())
    return file.getvalue()
