"""What a caller asks of one recording, and what the gateway answers; every wire protocol is a view of these."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from model_store.predictors.hypotheses import Word

AUTO = "auto"


class Ask(Struct, frozen=True, kw_only=True):
    """One request, free of any wire protocol. Languages are as the caller wrote them; routing reads them.

    `partial`: begun even where `timeout_s` is too short for the whole. `urgency`: bulk yields to others, however short.
    """

    request_id: str
    model: str = AUTO
    language: str | None = None
    languages: tuple[str, ...] = ()
    domain: str | None = None
    channels: Literal["mix", "separate"] = "mix"
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    partial: bool = False
    urgency: Literal["auto", "bulk"] = "auto"


class Decision(Struct, frozen=True, kw_only=True):
    """Which version answers, and why. `language_confidence` is 1 when the caller said the language."""

    model: str
    version: str
    language: str
    language_confidence: float
    domain: str
    reason: str


class SpokenSegment(Struct, frozen=True, kw_only=True):
    """The text of one segment; times in seconds from the start of the recording, words' times too."""

    index: int
    channel: int
    start_s: float
    end_s: float
    text: str
    confidence: float
    words: tuple[Word, ...]
    decision: Decision


class Transcript(Struct, frozen=True, kw_only=True):
    """The whole answer; `is_cold`: a model had to be loaded for it.

    `devices`: where it was computed, sorted; none where nothing had to be. `is_degraded`: in some part of it the CPU
    stood in for a GPU that is lost.

    `stages_ms`: milliseconds per stage. Decoding, hearing the language and the total are what the clock says; features,
    encoder, search and rescoring are this request's share of its batches, over all segments; queue and load the longest
    wait.

    `decisions` holds one decision per channel; `code` says why a text is empty ("no_speech"), or is None.
    """

    text: str
    duration_s: float
    segments: tuple[SpokenSegment, ...]
    decisions: tuple[Decision, ...]
    stages_ms: dict[str, float]
    is_cold: bool
    devices: tuple[str, ...]
    is_degraded: bool
    code: str | None = None


class ServedModel(Struct, frozen=True, kw_only=True):
    """A model as callers see it: `version` is the digest that answers now, `kind` is "asr" or "lid"."""

    name: str
    kind: str
    language: str | None
    domain: str | None
    version: str
    created_at: datetime


def joined(texts: Iterable[str]) -> str:
    """One text of the texts of consecutive segments: Chinese and Japanese without spaces, other scripts with one."""
    whole = ""
    for text in texts:
        whole += spaced_after(whole, text)
    return whole


def spaced_after(before: str, text: str) -> str:
    """`text` with the space, if any, that stands between it and `before`."""
    text = text.strip()
    if not before or not text:
        return text
    left, right = before[-1], text[0]
    is_wide_mark = any(_is_wide(char) and not char.isalnum() for char in (left, right))
    return text if is_wide_mark or (_is_wide(left) and _is_wide(right)) else f" {text}"


def _is_wide(char: str) -> bool:
    # Hangul is as wide as Han, but Korean puts spaces between words.
    return unicodedata.east_asian_width(char) in "WF" and not unicodedata.name(char, "").startswith("HANGUL")
