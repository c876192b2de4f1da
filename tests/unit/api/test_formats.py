import math
import zlib

import msgspec
import pytest

from gateway.api.form import TranscriptionForm
from gateway.api.formats import Answered, done_event, json_body, verbose_body
from gateway.transcript import joined


def answered(transcript, **form):
    return Answered(transcript=transcript, form=TranscriptionForm(**form), request_id="r")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["今天", "很好"], "今天很好"),
        (["hello", "there"], "hello there"),
        (["你好", "hello"], "你好 hello"),
        (["你好。", "hello"], "你好。hello"),
        (["hello", "，你好"], "hello，你好"),
        (["こん", "にちは"], "こんにちは"),
        (["안녕", "하세요"], "안녕 하세요"),
        ([" a ", "", "b"], "a b"),
        ([], ""),
    ],
)
def test_joined_scripts_get_the_space_that_they_write(texts, expected):
    assert joined(texts) == expected


def test_verbose_segment_compression_ratio_is_whispers(samples):
    text = "no no no no no no no no no no"
    body = verbose_body(answered(samples.transcript(samples.segment(0, text, 0, 1, decision=samples.en))))
    raw = text.encode()
    assert body.segments[0].compression_ratio == pytest.approx(len(raw) / len(zlib.compress(raw)), abs=1e-4)


def test_verbose_segment_without_words_has_the_logarithm_of_its_confidence_too(samples):
    body = verbose_body(answered(samples.transcript(samples.segment(0, "", 0, 1))))
    assert body.segments[0].avg_logprob == pytest.approx(math.log(0.9), abs=1e-6)


def test_verbose_word_of_no_confidence_has_a_finite_logprob(samples):
    words = (msgspec.structs.replace(samples.segment(0, "好", 0, 1).words[0], confidence=0.0),)
    segment = msgspec.structs.replace(samples.segment(0, "好", 0, 1), words=words)
    body = json_body(answered(samples.transcript(segment), include=("logprobs",)))
    assert body.logprobs[0].logprob == pytest.approx(-23.02585, abs=1e-4)


def test_json_body_without_what_was_not_asked_has_no_such_keys(samples):
    body = msgspec.to_builtins(json_body(answered(samples.chinese)))
    assert list(body) == ["text", "languages", "usage", "voxgate"]
    assert not {"channels", "segments", "words", "duration"} & body["voxgate"].keys()


def test_json_body_languages_name_each_once(samples):
    twice = samples.transcript(samples.segment(0, "你", 0, 1), samples.segment(1, "好", 1, 2, channel=1))
    assert [language.code for language in json_body(answered(twice)).languages] == ["zh"]
    assert [language.code for language in json_body(answered(samples.call)).languages] == ["zh", "en"]


def test_channels_silent_one_is_left_out_and_numbers_stay(samples):
    only_second = samples.transcript(samples.segment(0, "good", 0, 1, decision=samples.en, channel=1))
    (channel,) = json_body(answered(only_second, channels="separate")).voxgate.channels
    assert (channel.channel, channel.language, channel.text) == (2, "en", "good")


def test_done_event_carries_the_whole_answer(samples):
    form = {"timestamp_granularities": ("word", "segment"), "include": ("logprobs",), "stream": True}
    event = done_event(answered(samples.chinese, **form))
    assert (len(event.voxgate.segments), len(event.voxgate.words), len(event.logprobs)) == (2, 10, 10)
    assert event.voxgate.ignored == []
