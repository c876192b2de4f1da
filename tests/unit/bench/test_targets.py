"""What goes over the wire to each kind of server, and what is made of its answers."""

import base64
import io
import json
from typing import Any

import msgspec
import pytest
from multipart import MultipartParser  # type: ignore[import-untyped]

from gateway.bench.address import Address
from gateway.bench.connections import Response
from gateway.bench.recordings import Clip
from gateway.bench.targets import TARGETS, Answer, PaddleSpeechTarget, VoxgateTarget, request_bytes
from model_store.errors import OptionInvalid

CLIP = Clip(name="zh/01.flac", audio=b"\r\n--fLaC\0\xff" * 99, duration_s=1.0)
ADDRESS = Address.of_url("http://example.org:8080/speech")


def form_of(fields: list[tuple[str, str]], clip: Clip = CLIP) -> tuple[list[tuple[str, str]], Any]:
    """The text fields and the file of a request, as an independent parser reads them."""
    _, content_type, body = VoxgateTarget().request(clip, fields)
    parts = list(MultipartParser(io.BytesIO(body), content_type.partition("boundary=")[2]))
    return [(part.name, part.value) for part in parts[:-1]], parts[-1]


def test_voxgate_form_has_defaults_fields_and_the_file_last() -> None:
    texts, file = form_of([("language", "zh"), ("languages[]", "zh"), ("languages[]", "yue")])
    assert dict(texts[:2]) == {"model": "auto", "response_format": "json"}
    assert texts[2:] == [("language", "zh"), ("languages[]", "zh"), ("languages[]", "yue")]
    assert (file.name, file.filename, file.raw) == ("file", "01.flac", CLIP.audio)


def test_voxgate_form_fields_that_are_said_replace_the_defaults() -> None:
    texts, _ = form_of([("model", "whisper-1"), ("response_format", "verbose_json")])
    assert texts == [("model", "whisper-1"), ("response_format", "verbose_json")]


def test_voxgate_form_file_name_cannot_break_out() -> None:
    _, file = form_of([], msgspec.structs.replace(CLIP, name='a"; x="\r\n.wav'))
    assert file.filename == "a_; x=___.wav"


@pytest.mark.parametrize("field", [("response_format", "srt"), ("stream", "true")])
def test_voxgate_form_that_would_not_be_answered_in_json_is_refused(field: tuple[str, str]) -> None:
    with pytest.raises(OptionInvalid):
        VoxgateTarget().request(CLIP, [field])


def test_paddlespeech_body_is_what_its_own_client_sends() -> None:
    path, content_type, body = PaddleSpeechTarget().request(CLIP, [("lang", "en")])
    said = json.loads(body)
    assert (path, content_type) == ("/paddlespeech/asr", "application/json")
    assert base64.b64decode(said.pop("audio"), validate=True) == CLIP.audio
    assert said == {"audio_format": "wav", "sample_rate": 16000, "lang": "en", "punc": False}


@pytest.mark.parametrize("target", TARGETS.values())
def test_request_head_says_where_to_and_how_long(target: Any) -> None:
    request = request_bytes(target, ADDRESS, CLIP, [], [("Authorization", "Bearer k"), ("X-Mine", "1")])
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    path, content_type, expected = target.request(CLIP, [])
    assert first == f"POST /speech{path} HTTP/1.1"
    assert {"host: example.org:8080", "authorization: Bearer k", "x-mine: 1"} <= set(lines)
    assert {f"content-type: {content_type}", f"content-length: {len(expected)}"} <= set(lines)
    assert body == expected


@pytest.mark.parametrize("header", [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")])
def test_request_head_takes_no_header_that_is_none(header: tuple[str, str]) -> None:
    with pytest.raises(OptionInvalid):
        request_bytes(VoxgateTarget(), ADDRESS, CLIP, [], [header])


ANSWERS: list[tuple[Any, int, Any, Answer]] = [
    (
        VoxgateTarget(),
        200,
        {"text": "你好", "voxgate": {"stages_ms": {"decode": 1.5}, "is_cold": True, "code": None}},
        Answer(text="你好", stages_ms={"decode": 1.5}, is_cold=True),
    ),
    (VoxgateTarget(), 200, {"text": "hello", "usage": {"seconds": 1}}, Answer(text="hello")),
    (
        VoxgateTarget(),
        429,
        {"error": {"message": "Come again.", "type": "x", "param": None, "code": "queue_full"}, "voxgate": {}},
        Answer(code="queue_full", message="Come again."),
    ),
    (VoxgateTarget(), 401, {"error": {"message": "No.", "code": None}}, Answer(code="http_401", message="No.")),
    (VoxgateTarget(), 502, "<html>Bad gateway</html>", Answer(code="http_502")),
    (VoxgateTarget(), 500, {"error": "out of order"}, Answer(code="http_500")),
    (VoxgateTarget(), 200, {"status": "ok"}, Answer(code="answer_unreadable")),
    (
        PaddleSpeechTarget(),
        200,
        {"success": True, "code": 200, "message": {"description": "success"}, "result": {"transcription": "你好"}},
        Answer(text="你好"),
    ),
    (
        PaddleSpeechTarget(),
        200,
        {"success": False, "code": 509, "message": {"description": "Unknown error occurred."}},
        Answer(code="paddlespeech_509", message="Unknown error occurred."),
    ),
    (PaddleSpeechTarget(), 422, {"detail": []}, Answer(code="http_422")),
    (PaddleSpeechTarget(), 200, {"success": True, "code": 200}, Answer(code="answer_unreadable")),
]


@pytest.mark.parametrize(("target", "status", "body", "expected"), ANSWERS)
def test_answer_is_the_same_kind_of_thing_from_every_server(
    target: Any, status: int, body: Any, expected: Answer
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert target.answer(Response(status, raw)) == expected
