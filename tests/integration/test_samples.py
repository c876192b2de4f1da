"""The bundled recordings through the real `openai` client, in every shape in which an answer can be had.

Their sentences and voices were in no training clip (`model_store/starter/samples/README.md`).
"""

import io
import re
from collections.abc import Iterator

import av
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from model_store.starter.install import BUNDLED, Sample, bundled_samples
from tests.integration.live import Gateway
from tests.integration.sound import RATE_HZ, wav

LANGUAGES = ("zh", "yue", "en")
_TIME = r"(\d\d):(\d\d):(\d\d)[,.](\d\d\d)"
_CUE = re.compile(rf"{_TIME} --> {_TIME}\n(.+?)\n(?:\n|$)", re.DOTALL)


def listed(language: str, domain: str = "general") -> list[Sample]:
    """The samples of a language and a domain."""
    return [sample for sample in bundled_samples() if (sample.language, sample.domain) == (language, domain)]


def decoded(sample: Sample) -> NDArray[np.int16]:
    """Its sound."""
    with av.open(str(sample.path)) as file:
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    return np.concatenate(frames).astype(np.int16)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway as it starts on a fresh machine."""
    environ = {"VOXGATE_SERVER_STARTER_MODELS": "true"}
    gateway = Gateway(tmp_path_factory.mktemp("fresh") / "data", environ).started()
    yield gateway
    gateway.ended()


@pytest.fixture(scope="module")
def client(bundled: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{bundled.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def test_models_of_a_fresh_machine_are_the_bundled_ones(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {model.name for model in BUNDLED}


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_are_eight_and_more_of_each_language(language: str) -> None:
    assert len({sample.text for sample in listed(language)}) >= 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_as_json_have_text_and_language(client: openai.OpenAI, language: str) -> None:
    for sample in listed(language):
        answer = client.audio.transcriptions.create(model="auto", file=sample.path)
        assert answer.model_extra is not None
        ours = answer.model_extra["voxgate"]
        assert (ours["language"], answer.text) == (language, sample.text)
        assert ours["model"] == f"{language}-general"
        assert ours["language_confidence"] > 0.5


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_as_text_are_the_text(client: openai.OpenAI, language: str) -> None:
    for sample in listed(language):
        answer = client.audio.transcriptions.create(model="whisper-1", file=sample.path, response_format="text")
        assert str(answer).rstrip("\n") == sample.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_samples_as_subtitles_have_the_text_within_the_recording(
    client: openai.OpenAI, language: str, form: str
) -> None:
    for sample in listed(language):
        answer = str(
            client.audio.transcriptions.create(model="auto", file=sample.path, response_format=form)  # type: ignore[call-overload]
        )
        assert answer.startswith("WEBVTT\n\n" if form == "vtt" else "1\n")
        cues = _CUE.findall(answer)
        assert " ".join(" ".join(cue[8].split()) for cue in cues) == sample.text
        times = [_seconds(cue[at : at + 4]) for cue in cues for at in (0, 4)]
        assert times == sorted(times)
        assert times[-1] <= len(decoded(sample)) / RATE_HZ + 0.001


def _seconds(fields: tuple[str, ...]) -> float:
    hours, minutes, seconds, thousandths = map(int, fields)
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_as_verbose_json_have_segments_and_words_in_time(client: openai.OpenAI, language: str) -> None:
    for sample in listed(language):
        answer = client.audio.transcriptions.create(
            model="auto",
            file=sample.path,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert (answer.language, answer.text) == (language, sample.text)
        duration_s = len(decoded(sample)) / RATE_HZ
        assert answer.duration == pytest.approx(duration_s, abs=0.01)
        assert answer.segments is not None
        assert answer.words is not None
        assert [segment.text for segment in answer.segments] == [sample.text]
        assert [word.word for word in answer.words] == _words(sample)
        times = [time for word in answer.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= duration_s


def _words(sample: Sample) -> list[str]:
    return sample.text.split() if sample.language == "en" else list(sample.text.replace(" ", ""))


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_streamed_are_the_text_in_pieces(client: openai.OpenAI, language: str) -> None:
    for sample in listed(language)[:3]:
        stream = client.audio.transcriptions.create(model="auto", file=sample.path, stream=True)
        events = list(stream)
        assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == sample.text
        last = events[-1]
        assert last.type == "transcript.text.done"
        assert last.text == sample.text


@pytest.mark.parametrize(("left", "right"), [("zh", "en"), ("en", "yue"), ("yue", "zh")])
def test_samples_on_two_channels_are_told_apart_with_their_languages(
    client: openai.OpenAI, left: str, right: str
) -> None:
    sides = listed(left)[0], listed(right)[1]
    sounds = [decoded(sample) for sample in sides]
    both = np.zeros((max(map(len, sounds)), 2), "<i2")
    for channel, sound in enumerate(sounds):
        both[: len(sound), channel] = sound
    file = ("call.wav", io.BytesIO(wav(both.tobytes(), n_channels=2)))
    answer = client.audio.transcriptions.create(model="auto", file=file, extra_body={"channels": "separate"})
    assert answer.model_extra is not None
    channels = answer.model_extra["voxgate"]["channels"]
    assert [(one["channel"], one["language"], one["text"]) for one in channels] == [
        (number, sample.language, sample.text) for number, sample in enumerate(sides, start=1)
    ]


def test_sample_whose_language_is_said_needs_no_hearing(client: openai.OpenAI, bundled: Gateway) -> None:
    sample = listed("en")[0]
    answer = client.audio.transcriptions.create(model="auto", file=sample.path, language="en")
    assert answer.model_extra is not None
    ours = answer.model_extra["voxgate"]
    assert (answer.text, ours["language_confidence"]) == (sample.text, 1.0)
    assert "language" not in ours["stages_ms"]


@pytest.mark.parametrize("domain", ["finance", "medical"])
def test_samples_of_a_domain_go_to_the_model_of_the_domain_that_is_said(client: openai.OpenAI, domain: str) -> None:
    samples = listed("zh", domain)
    assert len(samples) >= 3
    for sample in samples:
        said = {"domain": domain}
        answer = client.audio.transcriptions.create(model="auto", file=sample.path, extra_body=said)
        assert answer.model_extra is not None
        ours = answer.model_extra["voxgate"]
        assert (ours["model"], ours["domain"], answer.text) == (f"zh-{domain}", domain, sample.text)


def test_silence_is_heard_as_none_of_the_languages(client: openai.OpenAI) -> None:
    file = ("silence.wav", io.BytesIO(wav(np.zeros(2 * RATE_HZ))))
    answer = client.audio.transcriptions.create(model="auto", file=file)
    assert answer.text == ""
