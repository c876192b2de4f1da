"""The JSON bodies of OpenAI's audio protocol, with what Voxgate adds under one key; the OpenAPI page reads them too."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Seconds = Annotated[float, Meta(description="Seconds from the start of the recording.")]
Degraded = Annotated[
    bool, Meta(description="Whether the CPU stood in for a GPU that is lost, in any part of this answer.")
]


class Usage(Struct, frozen=True, kw_only=True):
    """What the request used: the length of its audio."""

    seconds: Annotated[float, Meta(description="Length of the recording in seconds.")]
    type: Literal["duration"] = "duration"


class LanguageCode(Struct, frozen=True):
    """A language heard in the recording."""

    code: Annotated[str, Meta(description="Code of the language, such as `zh`, `yue` or `en`.")]


class Logprob(Struct, frozen=True, kw_only=True):
    """One entry per word (a character in Chinese), which is what Voxgate has times and confidences of."""

    token: Annotated[str, Meta(description="The word.")]
    bytes: Annotated[list[int], Meta(description="The word as UTF-8.")]
    logprob: Annotated[float, Meta(description="Natural logarithm of the word's confidence.")]


class Heard(Struct, frozen=True, kw_only=True):
    """Which version answered, and why."""

    model: Annotated[str, Meta(description="Name of the model that answered.")]
    version: Annotated[str, Meta(description="Digest of the model's version.")]
    language: Annotated[str, Meta(description="Language said by the caller, or heard.")]
    language_confidence: Annotated[float, Meta(description="Confidence in the language; 1 where the caller said it.")]
    domain: Annotated[str, Meta(description="Domain of the model.")]
    reason: Annotated[str, Meta(description="Why this model and version.")]


class Channel(Heard, frozen=True, kw_only=True):
    """One channel of a recording transcribed with `channels=separate`."""

    channel: Annotated[int, Meta(description="Number of the channel, from 1.")]
    text: Annotated[str, Meta(description="What was said on this channel.")]


class SegmentExtras(Struct, frozen=True, kw_only=True):
    """What Voxgate adds to a segment or a word."""

    language: Annotated[
        str | UnsetType, Meta(description="Language of the model that recognised it; only of segments.")
    ] = UNSET
    confidence: Annotated[float, Meta(description="0 to 1.")]
    channel: Annotated[int | UnsetType, Meta(description="From 1; only with `channels=separate`.")] = UNSET


class Segment(Struct, frozen=True, kw_only=True):
    """A stretch of speech. `tokens`, `temperature` and `no_speech_prob` are there for the protocol and mean nothing."""

    id: Annotated[int, Meta(description="Number of the segment, from 0.")]
    seek: Annotated[int, Meta(description="Start of the segment in frames of 10 ms.")]
    start: Seconds
    end: Seconds
    text: Annotated[str, Meta(description="Text of the segment.")]
    tokens: Annotated[list[int], Meta(description="Not meaningful here: always empty.")] = []
    temperature: Annotated[float, Meta(description="Not meaningful here: nothing is sampled, always 0.")] = 0.0
    avg_logprob: Annotated[float, Meta(description="Mean natural log-probability of the tokens.")]
    compression_ratio: Annotated[float, Meta(description="Bytes of the text over its bytes compressed with zlib.")]
    no_speech_prob: Annotated[float, Meta(description="Not meaningful here: a segment is speech, always 0.")] = 0.0
    voxgate: SegmentExtras


class WordTime(Struct, frozen=True, kw_only=True):
    """A word (a character in Chinese) and when it was said."""

    word: Annotated[str, Meta(description="The word.")]
    start: Seconds
    end: Seconds
    voxgate: SegmentExtras


class Extras(Struct, frozen=True, kw_only=True):
    """What Voxgate adds. The first fields are of the first channel; they are null where no speech was found."""

    request_id: Annotated[str, Meta(description="The `x-request-id` of the request.")]
    model: Annotated[str | None, Meta(description="Name of the model that answered.")] = None
    version: Annotated[str | None, Meta(description="Digest of the model's version.")] = None
    language: Annotated[str | None, Meta(description="Language said by the caller, or heard.")] = None
    language_confidence: Annotated[float | None, Meta(description="1 where the caller said the language.")] = None
    domain: Annotated[str | None, Meta(description="Domain of the model.")] = None
    reason: Annotated[str | None, Meta(description="Why this model and version.")] = None
    stages_ms: Annotated[
        dict[str, float],
        Meta(description="Milliseconds per stage: of what is computed, this request's share of its batches."),
    ]
    is_cold: Annotated[bool, Meta(description="Whether a model had to be loaded for this request.")]
    devices: Annotated[
        list[str],
        Meta(description="Where it was computed: `cpu`, `gpu:0` and so on; empty where nothing had to be computed."),
    ]
    is_degraded: Degraded
    code: Annotated[str | None, Meta(description="`no_speech` where the text is empty for want of speech.")] = None
    ignored: Annotated[list[str], Meta(description="Fields of the request that changed nothing in this answer.")] = []
    channels: Annotated[list[Channel] | UnsetType, Meta(description="Only with `channels=separate`.")] = UNSET
    duration: Annotated[float | UnsetType, Meta(description="Only in a stream's last event.")] = UNSET
    segments: Annotated[list[Segment] | UnsetType, Meta(description="Only in a stream's last event.")] = UNSET
    words: Annotated[list[WordTime] | UnsetType, Meta(description="Only in a stream's last event.")] = UNSET


class JsonBody(Struct, frozen=True, kw_only=True):
    """The answer with `response_format=json`."""

    text: Annotated[str, Meta(description="The whole text; empty for a recording without speech.")]
    languages: Annotated[list[LanguageCode], Meta(description="Languages heard; empty where no speech was found.")]
    logprobs: Annotated[list[Logprob] | UnsetType, Meta(description="Only with `include[]=logprobs`.")] = UNSET
    usage: Usage
    voxgate: Extras


class VerboseBody(Struct, frozen=True, kw_only=True):
    """The answer with `response_format=verbose_json`."""

    task: Literal["transcribe"] = "transcribe"
    language: Annotated[str, Meta(description="Code of the language; empty where no speech was found.")]
    duration: Annotated[float, Meta(description="Length of the recording in seconds.")]
    text: Annotated[str, Meta(description="The whole text; empty for a recording without speech.")]
    languages: Annotated[list[LanguageCode], Meta(description="Languages heard; empty where no speech was found.")]
    segments: Annotated[list[Segment] | UnsetType, Meta(description="Unless only words are asked for.")] = UNSET
    words: Annotated[list[WordTime] | UnsetType, Meta(description="Only when words are asked for.")] = UNSET
    logprobs: Annotated[list[Logprob] | UnsetType, Meta(description="Only with `include[]=logprobs`.")] = UNSET
    usage: Usage
    voxgate: Extras


class DeltaEvent(Struct, frozen=True, kw_only=True):
    """The text of one segment; the deltas of a stream together are its whole text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    segment_id: str
    logprobs: list[Logprob] | UnsetType = UNSET


class SegmentEvent(Struct, frozen=True, kw_only=True):
    """Times of the segment whose text went before. `speaker` is the channel's number, empty where they are mixed."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: Seconds
    end: Seconds
    text: str
    speaker: str
    voxgate: SegmentExtras


class DoneEvent(Struct, frozen=True, kw_only=True):
    """The last event of a stream."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[LanguageCode]
    logprobs: list[Logprob] | UnsetType = UNSET
    usage: Usage
    voxgate: Extras


class ModelExtras(Struct, frozen=True, kw_only=True):
    """What Voxgate knows of a model."""

    kind: Annotated[str, Meta(description="`asr` recognises speech, `lid` its language.")]
    language: Annotated[str | None, Meta(description="Language it is made for.")]
    domain: Annotated[str | None, Meta(description="Domain it is made for.")]
    version: Annotated[str, Meta(description="Digest of the version that answers now.")]


class ModelBody(Struct, frozen=True, kw_only=True):
    """A model that can be asked for by name."""

    id: Annotated[str, Meta(description="Name of the model.")]
    created: Annotated[int, Meta(description="When it was created, in seconds since 1970 (UTC).")]
    object: Literal["model"] = "model"
    owned_by: Literal["voxgate"] = "voxgate"
    voxgate: ModelExtras


class ModelList(Struct, frozen=True, kw_only=True):
    """All models that can be asked for by name."""

    data: list[ModelBody]
    object: Literal["list"] = "list"


class ErrorFacts(Struct, frozen=True, kw_only=True):
    """An error in OpenAI's words."""

    message: Annotated[str, Meta(description="What is wrong, and what to do.")]
    type: Annotated[str, Meta(description="Kind of error, by its status.")]
    param: Annotated[str | None, Meta(description="Field of the request that is to blame.")]
    code: Annotated[str, Meta(description="Stable code; the table of errors lists them.")]


class Partial(Struct, frozen=True, kw_only=True):
    """What was recognised before the time was up."""

    text: str
    duration: Annotated[float, Meta(description="Length of the whole recording in seconds.")]
    segments: list[Segment]
    devices: Annotated[list[str], Meta(description="Where what was answered in time was computed.")]
    is_degraded: Degraded


class ErrorExtras(Struct, frozen=True, kw_only=True):
    """What Voxgate adds to an error."""

    request_id: str
    retryable: Annotated[bool, Meta(description="Whether the same request may succeed when it is sent again.")]
    details: Annotated[dict[str, Any], Meta(description="What a program may want to read, such as `allowed`.")]
    partial: Annotated[Any, Meta(description="With `deadline_exceeded`: what was recognised in time.")] = UNSET


class ErrorBody(Struct, frozen=True, kw_only=True):
    """How every error looks."""

    error: ErrorFacts
    voxgate: ErrorExtras
