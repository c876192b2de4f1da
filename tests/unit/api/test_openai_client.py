"""The published `openai` client against the door, over a real socket."""

import io
import math

import openai
import pytest

from model_store.errors import DeadlineExceeded, ModelUnknown, NoSpeech, PredictFailed, QueueFull, WorkerLost

WAV = ("a.wav", b"RIFF" + bytes(1000), "audio/wav")


def test_transcription_defaults_give_text_usage_and_extras(client, door):
    answer = client.audio.transcriptions.create(model="whisper-1", file=WAV)
    assert answer.text == "今天天气很好我们走吧"
    assert answer.usage.to_dict() == {"type": "duration", "seconds": 4.5}
    assert [language.code for language in answer.languages] == ["zh"]
    assert answer.logprobs is None
    extras = answer.model_extra["voxgate"]
    assert extras.pop("request_id")
    assert extras == {
        "model": "zh-general",
        "version": "5f2c9a1e",
        "language": "zh",
        "language_confidence": 0.9981,
        "domain": "general",
        "reason": "language detected",
        "stages_ms": {"decode": 4.25, "search": 3.0},
        "is_cold": False,
        "devices": ["cpu"],
        "is_degraded": False,
        "code": None,
        "ignored": [],
    }
    assert door.pipeline.audio == [WAV[1]]


def test_transcription_all_fields_reach_the_pipeline(client, door):
    client.audio.transcriptions.create(
        model="zh-general",
        file=io.BytesIO(b"abc"),
        language="zh",
        languages=["zh", "yue"],
        timestamp_granularities=["word", "segment"],
        response_format="verbose_json",
        include=["logprobs"],
        extra_body={"domain": "court", "channels": "separate", "timeout_s": 2.5},
        extra_headers={"x-request-id": "mine-1"},
    )
    (ask,) = door.pipeline.asks
    assert (ask.model, ask.language, ask.languages) == ("zh-general", "zh", ("zh", "yue"))
    assert (ask.domain, ask.channels, ask.timeout_s, ask.request_id) == ("court", "separate", 2.5, "mine-1")


def test_transcription_unhonoured_fields_are_named_and_do_not_fail(client):
    response = client.audio.transcriptions.with_raw_response.create(
        model="gpt-4o-transcribe",
        file=WAV,
        prompt="names: Li",
        temperature=0,
        keywords=["词"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        timestamp_granularities=["word"],
    )
    names = ["prompt", "temperature", "chunking_strategy", "keywords[]", "timestamp_granularities[]"]
    assert response.parse().model_extra["voxgate"]["ignored"] == names
    assert response.headers["x-voxgate-ignored"] == ", ".join(names)


def test_verbose_json_words_and_segments_are_complete(client):
    answer = client.audio.transcriptions.create(
        model="auto", file=WAV, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (answer.duration, answer.language, answer.text) == (4.5, "zh", "今天天气很好我们走吧")
    assert [(word.word, word.start, word.end) for word in answer.words][:2] == [("今", 0.5, 0.75), ("天", 0.75, 1.0)]
    first, second = answer.segments
    assert (second.id, second.seek, second.start, second.end, second.text) == (1, 250, 2.5, 4.0, "我们走吧")
    assert (second.tokens, second.temperature, second.no_speech_prob, second.avg_logprob) == ([], 0.0, 0.0, -0.105361)
    assert first.model_extra["voxgate"] == {"language": "zh", "confidence": 0.9}
    assert answer.usage.seconds == 4.5


@pytest.mark.parametrize(
    ("asked", "has_words", "has_segments"), [([], False, True), (["segment"], False, True), (["word"], True, False)]
)
def test_verbose_json_granularities_choose_what_has_times(client, asked, has_words, has_segments):
    answer = client.audio.transcriptions.create(
        model="auto", file=WAV, response_format="verbose_json", timestamp_granularities=asked
    )
    assert (answer.words is not None, answer.segments is not None) == (has_words, has_segments)


def test_logprobs_when_asked_are_the_words_confidences(client, door, samples):
    door.pipeline.answer = samples.english
    answer = client.audio.transcriptions.create(model="auto", file=WAV, include=["logprobs"])
    assert [entry.token for entry in answer.logprobs] == ["hello", "there", "how", "are", "you"]
    assert answer.logprobs[0].logprob == pytest.approx(math.log(0.5))
    assert bytes(int(byte) for byte in answer.logprobs[0].bytes) == b"hello"


@pytest.mark.parametrize(
    ("response_format", "expected", "content_type"),
    [
        ("text", "hello there how are you\n", "text/plain; charset=utf-8"),
        (
            "srt",
            "1\n00:00:00,500 --> 00:00:02,000\nhello there\n\n2\n00:00:02,500 --> 00:00:04,000\nhow are you\n\n",
            "text/plain; charset=utf-8",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nhello there\n\n00:00:02.500 --> 00:00:04.000\nhow are you\n\n",
            "text/vtt; charset=utf-8",
        ),
    ],
)
def test_raw_formats_are_bodies_with_extras_in_headers(client, door, samples, response_format, expected, content_type):
    door.pipeline.answer = samples.english
    response = client.audio.transcriptions.with_raw_response.create(
        model="auto", file=WAV, response_format=response_format
    )
    assert response.parse() == expected
    assert response.headers["content-type"] == content_type
    ours = {name: value for name, value in response.headers.items() if name.startswith("x-voxgate")}
    assert ours == {
        "x-voxgate-model": "en-general",
        "x-voxgate-version": "77aa",
        "x-voxgate-language": "en",
        "x-voxgate-language-confidence": "1.0000",
        "x-voxgate-domain": "general",
        "x-voxgate-cold": "false",
        "x-voxgate-degraded": "false",
        "x-voxgate-devices": "cpu",
        "x-voxgate-duration": "4.500",
    }
    assert response.headers["server-timing"] == "decode;dur=4.2, search;dur=3.0"


def test_separate_channels_are_told_apart_in_every_shape(client, door, samples):
    door.pipeline.answer = samples.call

    def ask(response_format):
        return client.audio.transcriptions.create(
            model="auto", file=WAV, response_format=response_format, extra_body={"channels": "separate"}
        )

    verbose = ask("verbose_json")
    assert [part.model_extra["voxgate"]["channel"] for part in verbose.segments] == [1, 2]
    apart = [(part["channel"], part["language"], part["text"]) for part in verbose.model_extra["voxgate"]["channels"]]
    assert apart == [(1, "zh", "你好"), (2, "en", "good morning")]
    assert "\n[1] 你好\n" in ask("srt")
    assert "\n<v 2>good morning\n" in ask("vtt")


@pytest.mark.parametrize(("response_format", "empty"), [("text", ""), ("srt", ""), ("vtt", "WEBVTT\n\n")])
def test_silence_raw_formats_are_empty_with_a_code(client, door, response_format, empty):
    door.pipeline.script = [NoSpeech("the recording holds no speech", duration_s=3.0)]
    response = client.audio.transcriptions.with_raw_response.create(
        model="auto", file=WAV, response_format=response_format
    )
    assert (response.status_code, response.parse()) == (200, empty)
    assert (response.headers["x-voxgate-code"], response.headers["x-voxgate-duration"]) == ("no_speech", "3.000")
    assert response.headers["x-voxgate-degraded"] == "false"
    assert "x-voxgate-devices" not in response.headers


def test_silence_that_a_stand_in_heard_says_so(client, door):
    heard = NoSpeech("no language was heard", duration_s=3.0, is_cold=True, devices=["cpu"], is_degraded=True)
    door.pipeline.script = [heard]
    response = client.audio.transcriptions.with_raw_response.create(model="auto", file=WAV)
    extras = response.parse().model_extra["voxgate"]
    assert (extras["is_cold"], extras["devices"], extras["is_degraded"]) == (True, ["cpu"], True)
    assert response.headers["x-voxgate-degraded"] == "true"


def test_silence_verbose_json_is_an_empty_text(client, door):
    door.pipeline.script = [NoSpeech("the recording holds no speech", duration_s=3.0)]
    answer = client.audio.transcriptions.create(model="auto", file=WAV, response_format="verbose_json", language="zh")
    assert (answer.text, answer.segments, answer.duration, answer.language) == ("", [], 3.0, "zh")
    assert answer.model_extra["voxgate"]["code"] == "no_speech"


def test_error_of_routing_is_a_not_found_error_with_request_id(client, door):
    door.pipeline.script = [ModelUnknown("no model x; there are: a, b", param="model", models=["a", "b"])]
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(model="x", file=WAV, extra_headers={"x-request-id": "r-1"})
    assert caught.value.request_id == "r-1"
    assert caught.value.body == {
        "message": "no model x; there are: a, b",
        "type": "not_found_error",
        "param": "model",
        "code": "model_unknown",
    }
    extras = caught.value.response.json()["voxgate"]
    assert extras == {"request_id": "r-1", "retryable": False, "details": {"models": ["a", "b"]}}


def test_capacity_error_is_tried_again_by_the_client_after_the_time_said(client, door):
    door.pipeline.script = [QueueFull("full", retry_after_s=0.2)]
    with pytest.raises(openai.RateLimitError) as caught:
        client.with_options(max_retries=1).audio.transcriptions.create(model="auto", file=WAV)
    assert caught.value.response.headers["retry-after"] == "1"
    assert len(door.pipeline.asks) == 2


def test_error_that_cannot_pass_is_not_tried_again_by_the_client(client, door):
    door.pipeline.script = [PredictFailed("broken")]
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=2).audio.transcriptions.create(model="auto", file=WAV)
    assert len(door.pipeline.asks) == 1


def test_deadline_carries_what_was_recognised(client, door, samples):
    so_far = samples.transcript(samples.segment(0, "今天", 0, 1), devices=("cpu", "gpu:0"), is_degraded=True)
    door.pipeline.script = [DeadlineExceeded("time is up", partial=so_far)]
    with pytest.raises(openai.InternalServerError) as caught:
        client.audio.transcriptions.create(model="auto", file=WAV)
    partial = caught.value.response.json()["voxgate"]["partial"]
    assert (caught.value.status_code, partial["text"], partial["segments"][0]["end"]) == (504, "今天", 1.0)
    assert (partial["devices"], partial["is_degraded"]) == (["cpu", "gpu:0"], True)


def test_stream_deltas_join_to_the_done_text(client, door, samples):
    door.pipeline.answer = samples.english
    with client.audio.transcriptions.create(
        model="auto", file=WAV, stream=True, response_format="json", timestamp_granularities=["word"]
    ) as stream:
        events = list(stream)
    kinds = ["transcript.text.delta", "transcript.text.segment"] * 2 + ["transcript.text.done"]
    assert [event.type for event in events] == kinds
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert deltas == ["hello there", " how are you"]
    done = events[-1]
    assert done.text == "".join(deltas)
    assert done.usage.to_dict() == {"type": "duration", "seconds": 4.5}
    extras = done.model_extra["voxgate"]
    assert (extras["model"], extras["duration"], "segments" in extras) == ("en-general", 4.5, False)
    assert [word["word"] for word in extras["words"]] == ["hello", "there", "how", "are", "you"]
    assert (events[1].id, events[1].start, events[1].end, events[1].speaker) == ("seg_0", 0.5, 2.0, "")


def test_stream_error_before_the_first_segment_is_an_http_error(client, door):
    door.pipeline.script = [WorkerLost("lost")]
    with pytest.raises(openai.InternalServerError) as caught:
        client.audio.transcriptions.create(model="auto", file=WAV, stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "worker_lost")


def test_stream_error_after_a_segment_is_raised_by_the_client(client, door, samples):
    door.pipeline.script = [samples.segment(0, "你好", 0, 1), WorkerLost("lost")]
    stream = client.audio.transcriptions.create(model="auto", file=WAV, stream=True)
    events = iter(stream)
    assert next(events).delta == "你好"
    next(events)
    with pytest.raises(openai.APIError) as caught:
        next(events)
    assert (caught.value.message, caught.value.code, caught.value.type) == ("lost", "worker_lost", "server_error")


def test_stream_unexpected_error_says_nothing_of_the_inside(client, door, samples):
    door.pipeline.script = [samples.segment(0, "你好", 0, 1), RuntimeError("secret path")]
    stream = client.audio.transcriptions.create(model="auto", file=WAV, stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert (caught.value.code, "secret" in caught.value.message) == ("internal_error", False)


def test_stream_of_silence_is_a_done_event_alone(client, door):
    door.pipeline.script = [NoSpeech("silence", duration_s=3.0)]
    (done,) = client.audio.transcriptions.create(model="auto", file=WAV, stream=True)
    assert (done.type, done.text, done.model_extra["voxgate"]["code"]) == ("transcript.text.done", "", "no_speech")


def test_models_list_and_show_in_openai_shape(client):
    first, _ = client.models.list()
    assert (first.id, first.object, first.owned_by, first.created) == ("zh-general", "model", "voxgate", 1795334400)
    facts = {"kind": "asr", "language": "zh", "domain": "general", "version": "5f2c9a1e"}
    assert first.model_extra["voxgate"] == facts
    assert client.models.retrieve("en-general").id == "en-general"


def test_models_show_unknown_lists_what_there_is(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nope")
    assert caught.value.code == "model_unknown"
    assert "zh-general, en-general" in caught.value.message
