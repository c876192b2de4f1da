"""A transcript in the JSON formats of OpenAI's audio protocol; pure functions."""

import math
import zlib
from collections.abc import Iterator

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from gateway.api.bodies import (
    Channel,
    DoneEvent,
    Extras,
    Heard,
    JsonBody,
    LanguageCode,
    Logprob,
    Partial,
    Segment,
    SegmentExtras,
    Usage,
    VerboseBody,
    WordTime,
)
from gateway.api.form import TranscriptionForm
from gateway.transcript import Decision, SpokenSegment, Transcript, joined
from model_store.predictors.hypotheses import Word

_LEAST_PROBABILITY = 1e-10  # a confidence of 0 has no logarithm


class Answered(Struct, frozen=True, kw_only=True):
    """A transcript with the request that it answers."""

    transcript: Transcript
    form: TranscriptionForm
    request_id: str

    @property
    def by_channel(self) -> bool:
        return self.form.channels == "separate"


def json_body(answered: Answered) -> JsonBody:
    return JsonBody(
        text=answered.transcript.text,
        languages=_languages(answered.transcript),
        logprobs=_logprobs_asked(answered),
        usage=_usage(answered.transcript),
        voxgate=extras(answered),
    )


def verbose_body(answered: Answered) -> VerboseBody:
    transcript = answered.transcript
    return VerboseBody(
        language=transcript.decisions[0].language if transcript.decisions else answered.form.language or "",
        duration=_seconds(transcript.duration_s),
        text=transcript.text,
        languages=_languages(transcript),
        segments=_segments_asked(answered),
        words=_words_asked(answered),
        logprobs=_logprobs_asked(answered),
        usage=_usage(transcript),
        voxgate=extras(answered),
    )


def done_event(answered: Answered) -> DoneEvent:
    """The last event of a stream; with `verbose_json` or granularities it carries segments and words too."""
    return DoneEvent(
        text=answered.transcript.text,
        languages=_languages(answered.transcript),
        logprobs=_logprobs_asked(answered),
        usage=_usage(answered.transcript),
        voxgate=extras(answered, is_last_event=True),
    )


def partial(transcript: Transcript) -> Partial:
    """What there was of a transcript when the time was up."""
    spoken = enumerate(transcript.segments)
    return Partial(
        text=transcript.text,
        duration=_seconds(transcript.duration_s),
        segments=[_segment(number, segment, by_channel=False) for number, segment in spoken],
        devices=list(transcript.devices),
        is_degraded=transcript.is_degraded,
    )


def extras(answered: Answered, *, is_last_event: bool = False) -> Extras:
    """What stands under `voxgate`; a stream's last event has no other place for segments and words."""
    transcript = answered.transcript
    return Extras(
        request_id=answered.request_id,
        **(asdict(heard(transcript.decisions[0])) if transcript.decisions else {}),
        stages_ms={stage: round(spent_ms, 3) for stage, spent_ms in transcript.stages_ms.items()},
        is_cold=transcript.is_cold,
        devices=list(transcript.devices),
        is_degraded=transcript.is_degraded,
        code=transcript.code,
        ignored=answered.form.ignored(),
        channels=_channels(transcript) if answered.by_channel else UNSET,
        duration=_seconds(transcript.duration_s) if is_last_event else UNSET,
        segments=_segments_asked(answered) if is_last_event else UNSET,
        words=_words_asked(answered) if is_last_event else UNSET,
    )


def heard(decision: Decision) -> Heard:
    return Heard(**{**asdict(decision), "language_confidence": round(decision.language_confidence, 4)})


def segment_extras(segment: SpokenSegment, word: Word | None = None, *, by_channel: bool) -> SegmentExtras:
    """What stands under the `voxgate` of a segment, or of one of its words."""
    return SegmentExtras(
        language=UNSET if word else segment.decision.language,
        confidence=round((word or segment).confidence, 4),
        channel=segment.channel + 1 if by_channel else UNSET,
    )


def logprobs(segment: SpokenSegment) -> list[Logprob]:
    return [_logprob(word) for word in segment.words]


def _logprob(word: Word) -> Logprob:
    return Logprob(token=word.text, bytes=list(word.text.encode()), logprob=_log(word.confidence))


def _logprobs_asked(answered: Answered) -> list[Logprob] | UnsetType:
    if "logprobs" not in answered.form.include:
        return UNSET
    return [entry for segment in answered.transcript.segments for entry in logprobs(segment)]


def _segments_asked(answered: Answered) -> list[Segment] | UnsetType:
    asked = answered.form.timestamp_granularities
    if asked and "segment" not in asked:
        return UNSET
    segments = answered.transcript.segments
    return [_segment(number, segment, by_channel=answered.by_channel) for number, segment in enumerate(segments)]


def _segment(number: int, segment: SpokenSegment, *, by_channel: bool) -> Segment:
    return Segment(
        id=number,
        seek=int(segment.start_s * 100),
        start=_seconds(segment.start_s),
        end=_seconds(segment.end_s),
        text=segment.text,
        avg_logprob=_log(segment.confidence),
        compression_ratio=_compression_ratio(segment.text),
        voxgate=segment_extras(segment, by_channel=by_channel),
    )


def _log(confidence: float) -> float:
    return round(math.log(max(confidence, _LEAST_PROBABILITY)), 6)


def _words_asked(answered: Answered) -> list[WordTime] | UnsetType:
    if "word" not in answered.form.timestamp_granularities:
        return UNSET
    return list(_words(answered))


def _words(answered: Answered) -> Iterator[WordTime]:
    for segment in answered.transcript.segments:
        for word in segment.words:
            yield WordTime(
                word=word.text,
                start=_seconds(word.start_s),
                end=_seconds(word.end_s),
                voxgate=segment_extras(segment, word, by_channel=answered.by_channel),
            )


def _channels(transcript: Transcript) -> list[Channel]:
    """The channels on which something was said; a silent one has no segments, and nobody decided on a model for it."""
    apart: dict[int, list[SpokenSegment]] = {}
    for segment in transcript.segments:
        apart.setdefault(segment.channel, []).append(segment)
    return [
        Channel(channel=number + 1, text=joined(said.text for said in spoken), **asdict(heard(spoken[0].decision)))
        for number, spoken in sorted(apart.items())
    ]


def _languages(transcript: Transcript) -> list[LanguageCode]:
    return [LanguageCode(code) for code in dict.fromkeys(decision.language for decision in transcript.decisions)]


def _usage(transcript: Transcript) -> Usage:
    return Usage(seconds=_seconds(transcript.duration_s))


def _seconds(seconds: float) -> float:
    return round(seconds, 3)


def _compression_ratio(text: str) -> float:
    # As Whisper counts it (whisper/utils.py, compression_ratio).
    raw = text.encode()
    return round(len(raw) / len(zlib.compress(raw)), 4)
