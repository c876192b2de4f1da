"""Which clips are sent: of files, folders and lists, whole or cut."""

import io
import json
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gateway.bench.recordings import clips_of, wav
from model_store.errors import AudioUndecodable, OptionInvalid
from model_store.starter.install import SAMPLES_DIR


def sound(seconds: float, level: int = 1000) -> bytes:
    return wav(np.full(round(16_000 * seconds), level, np.int16))


def lengths(clips: list[bytes]) -> list[float]:
    """In seconds, as the standard library reads them."""
    found = []
    for clip in clips:
        with wave.open(io.BytesIO(clip)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            found.append(file.getnframes() / 16_000)
    return found


def test_clips_of_nothing_named_are_the_bundled_samples_of_the_general_domain_with_their_texts() -> None:
    clips = clips_of([])
    listed = json.loads((SAMPLES_DIR / "samples.json").read_text())
    assert [(clip.name, clip.language, clip.text) for clip in clips] == [
        (one["file"], one["language"], one["text"]) for one in listed if one.get("domain", "general") == "general"
    ]
    assert all(clip.audio[:4] == b"fLaC" and 0.5 < clip.duration_s < 20 for clip in clips)


def test_clips_of_a_file_are_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "odd.name"
    file.write_bytes(sound(1.25))
    (clip,) = clips_of([file])
    assert (clip.name, clip.audio, clip.duration_s) == ("odd.name", file.read_bytes(), 1.25)
    assert (clip.language, clip.text) == (None, None)


def test_clips_of_a_folder_are_its_recordings_however_deep(tmp_path: Path) -> None:
    for name in ("b.WAV", "deep/er/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(sound(0.5))
    (tmp_path / "notes.txt").write_text("no recording")
    assert [clip.name for clip in clips_of([tmp_path])] == ["b.WAV", "deep/er/a.wav"]


def test_clips_of_a_folder_with_a_list_have_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(0.5))
    (tmp_path / "b.wav").write_bytes(sound(0.5))
    (tmp_path / "samples.json").write_text('[{"file": "b.wav", "text": "hi", "voice": "m1"}]')
    (clip,) = clips_of([tmp_path])
    assert (clip.name, clip.text, clip.language) == ("b.wav", "hi", None)


def test_clips_as_wav_are_16_khz_mono_whatever_they_were(tmp_path: Path) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setparams((2, 2, 48_000, 0, "NONE", ""))
        output.writeframes(bytes(4 * 48_000))
    (tmp_path / "a.wav").write_bytes(file.getvalue())
    clips = clips_of([tmp_path, SAMPLES_DIR], as_wav=True)
    assert lengths([clip.audio for clip in clips]) == pytest.approx([clip.duration_s for clip in clips])
    assert clips[0].duration_s == pytest.approx(1.0, abs=0.01)
    assert clips[1].text


def test_clips_cut_have_each_length_as_often_in_every_language() -> None:
    clips = clips_of([], cut_s=[1.0, 3.5])
    assert lengths([clip.audio for clip in clips]) == [clip.duration_s for clip in clips]
    counts = Counter((clip.language, clip.duration_s) for clip in clips)
    assert {language for language, _ in counts} == {"zh", "yue", "en"}
    assert all(counts[language, 1.0] == counts[language, 3.5] > 1 for language in ("zh", "yue", "en"))
    assert all(clip.text is None for clip in clips)


def test_clips_cut_longer_than_the_recordings_repeat_them(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(0.5, 7))
    (clip,) = clips_of([tmp_path], cut_s=[30.0])
    assert clip.duration_s == 30.0
    assert set(np.frombuffer(clip.audio[44:], "<i2")) == {7}


def test_clips_of_a_folder_without_recordings_say_so(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="no recording"):
        clips_of([tmp_path])


def test_clips_of_a_file_that_is_none_name_it(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no recording at all")
    with pytest.raises(AudioUndecodable, match=r"notes\.wav: "):
        clips_of([tmp_path])


@pytest.mark.parametrize("said", ["{", '[{"text": "a"}]', '[{"file": "missing.wav"}]'])
def test_clips_of_a_list_that_is_wrong_say_where(tmp_path: Path, said: str) -> None:
    (tmp_path / "samples.json").write_text(said)
    with pytest.raises(OptionInvalid, match=r"samples\.json|missing\.wav"):
        clips_of([tmp_path])
