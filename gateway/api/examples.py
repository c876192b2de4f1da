"""Answers for the documentation, made by the code that makes the real ones."""

from typing import Any

import msgspec

from gateway.api import formats, subtitles
from gateway.api.bodies import DeltaEvent
from gateway.api.errors import render
from gateway.api.form import TranscriptionForm, read_form
from gateway.transcript import Decision, SpokenSegment, Transcript, joined
from model_store.errors import OptionInvalid
from model_store.predictors.hypotheses import Word

_REQUEST_ID = "0c6f3a52b1f34a2c9a3f6c9f5a0d7e11"
_DECISION = Decision(
    model="zh-general",
    version="5f2c9a1e0b7d",
    language="zh",
    language_confidence=0.9981,
    domain="general",
    reason="language detected, default domain",
)


def _segment(index: int, text: str, start_s: float) -> SpokenSegment:
    words = tuple(
        Word(char, start_s + 0.25 * n, start_s + 0.25 * (n + 1), 0.98 - 0.01 * n) for n, char in enumerate(text)
    )
    return SpokenSegment(
        index=index,
        channel=0,
        start_s=start_s,
        end_s=start_s + 0.25 * len(text),
        text=text,
        confidence=0.96,
        words=words,
        decision=_DECISION,
    )


_SEGMENTS = (_segment(0, "你好", 0.3), _segment(1, "走吧", 1.6))
_TRANSCRIPT = Transcript(
    text=joined(segment.text for segment in _SEGMENTS),
    duration_s=2.31,
    segments=_SEGMENTS,
    decisions=(_DECISION,),
    stages_ms={"decode": 4.1, "encoder": 61.0, "search": 0.4, "rescoring": 6.4, "total": 71.9},
    is_cold=False,
    devices=("gpu:0",),
    is_degraded=False,
)


def _answered(**form: Any) -> formats.Answered:
    return formats.Answered(transcript=_TRANSCRIPT, form=TranscriptionForm(**form), request_id=_REQUEST_ID)


def _events() -> str:
    deltas = [DeltaEvent(delta=segment.text, segment_id=f"seg_{segment.index}") for segment in _SEGMENTS]
    done = formats.done_event(_answered(stream=True))
    return "".join(f"data: {msgspec.json.encode(event).decode()}\n\n" for event in (*deltas, done))


def _error() -> Any:
    try:
        read_form({"response_format": ["diarized_json"]})
    except OptionInvalid as exc:
        return msgspec.to_builtins(render(exc, _REQUEST_ID).body)
    raise AssertionError("diarized_json is no format of ours")


JSON = msgspec.to_builtins(formats.json_body(_answered()))
VERBOSE_JSON = msgspec.to_builtins(formats.verbose_body(_answered(timestamp_granularities=("word", "segment"))))
TEXT = f"{_TRANSCRIPT.text}\n"
SRT = subtitles.srt(_TRANSCRIPT, by_channel=False)
VTT = subtitles.vtt(_TRANSCRIPT, by_channel=False)
EVENTS = _events()
ERROR = _error()
