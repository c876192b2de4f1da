"""The form fields of `POST /v1/audio/transcriptions`: what they mean, and how text becomes values."""

from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, ValidationError
from msgspec.structs import FieldInfo, fields

from gateway.transcript import AUTO, Ask
from model_store.errors import OptionInvalid

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]
JSON_FORMATS: frozenset[Format] = frozenset({"json", "verbose_json"})
_NOT_YET = "Accepted, not honoured yet; named in `voxgate.ignored` and in the header `x-voxgate-ignored`."
_SHOWN_CHARS = 60


class TranscriptionForm(Struct, frozen=True, kw_only=True):
    """Every field of the form but `file`; lists arrive as repeated fields whose name ends in `[]`."""

    model: Annotated[
        str,
        Meta(
            description="`auto` (the gateway finds language and model), a model's name, or an alias like `whisper-1`."
        ),
    ] = AUTO
    language: Annotated[
        str | None, Meta(description="Language that is spoken, as a code (`zh`, `yue`, `en`). Absent: it is detected.")
    ] = None
    languages: Annotated[
        tuple[str, ...], Meta(description="Candidate languages; detection chooses among these only.")
    ] = ()
    response_format: Annotated[
        Format, Meta(description="Shape of the answer. `text`, `srt` and `vtt` are raw bodies.")
    ] = "json"
    timestamp_granularities: Annotated[
        tuple[Literal["word", "segment"], ...],
        Meta(description="Times in `verbose_json` and in a stream's last event; `segment` where nothing is said."),
    ] = ()
    include: Annotated[
        tuple[Literal["logprobs"], ...], Meta(description="`logprobs`: one entry per word, in the JSON formats.")
    ] = ()
    stream: Annotated[
        bool, Meta(description="Answer with server-sent events, text as it is recognised; JSON formats only.")
    ] = False
    domain: Annotated[
        str | None, Meta(description="Voxgate: subject that the model is made for. Absent: the default domain.")
    ] = None
    channels: Annotated[
        Literal["mix", "separate"],
        Meta(description="Voxgate: `separate` transcribes each channel by itself, such as the two sides of a call."),
    ] = "mix"
    timeout_s: Annotated[
        Annotated[float, Meta(gt=0, le=86400)] | None,
        Meta(
            description="Voxgate: seconds from the end of the upload after which to give up. What cannot be done in "
            "that time is refused at once."
        ),
    ] = None
    partial: Annotated[
        bool,
        Meta(
            description="Voxgate: with `timeout_s`, begin also what cannot be done in that time. The error then has "
            "what was recognised so far under `voxgate.partial`."
        ),
    ] = False
    urgency: Annotated[
        Literal["auto", "bulk"],
        Meta(
            description="Voxgate: `bulk` lets the requests of people who wait go first, as `auto` does for a long "
            "recording (`pipeline.interactive_s`)."
        ),
    ] = "auto"
    prompt: Annotated[str | None, Meta(description=_NOT_YET)] = None
    temperature: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description=_NOT_YET)] = None
    chunking_strategy: Annotated[
        str | None, Meta(description=f"`auto`, or parts such as `chunking_strategy[type]`. {_NOT_YET}")
    ] = None
    keywords: Annotated[tuple[str, ...], Meta(description=_NOT_YET)] = ()
    known_speaker_names: Annotated[tuple[str, ...], Meta(description=_NOT_YET)] = ()
    known_speaker_references: Annotated[tuple[str, ...], Meta(description=_NOT_YET)] = ()

    def ignored(self) -> list[str]:
        """Fields that the caller set and that change nothing in this answer."""
        names = [name for name in _UNHONOURED if getattr(self, name) not in (None, ())]
        if self.include and self.response_format not in JSON_FORMATS:
            names.append("include")
        if self.timestamp_granularities and self.response_format != "verbose_json" and not self.stream:
            names.append("timestamp_granularities")
        return [wire_name(name) for name in names]

    def ask(self, request_id: str) -> Ask:
        return Ask(
            request_id=request_id,
            model=self.model,
            language=self.language,
            languages=self.languages,
            domain=self.domain,
            channels=self.channels,
            timeout_s=self.timeout_s,
            partial=self.partial,
            urgency=self.urgency,
        )


_UNHONOURED = (
    "prompt",
    "temperature",
    "chunking_strategy",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
)
FIELDS: dict[str, FieldInfo] = {info.name: info for info in fields(TranscriptionForm)}


def _bare(info: FieldInfo) -> Any:
    """The type without its description."""
    return get_args(info.type)[0]


_LISTS = frozenset(name for name, info in FIELDS.items() if get_origin(_bare(info)) is tuple)
_TEXTS = frozenset(name for name, info in FIELDS.items() if _bare(info) in (str, str | None))


def read_form(raw: dict[str, list[str]]) -> TranscriptionForm:
    """The form of the text fields as they arrived; an empty text is a field that was not said.

    Raises OptionInvalid with the field's name as the caller wrote it, and what is allowed.
    """
    values: dict[str, Any] = {}
    for name, texts in raw.items():
        info = _field(name)
        if not (said := [text for text in texts if text.strip()]):
            continue
        if info.name in _LISTS:
            values[info.name] = (*values.get(info.name, ()), *_list(info, name, said))
        else:
            values[info.name] = _single(info, name, said)
    form = TranscriptionForm(**values)
    if form.stream and form.response_format not in JSON_FORMATS:
        raise _not_allowed("response_format", form.response_format, sorted(JSON_FORMATS), " with stream=true")
    return form


def wire_name(name: str) -> str:
    """A field's name on the wire: lists end in `[]`."""
    return f"{name}[]" if name in _LISTS else name


def _field(name: str) -> FieldInfo:
    known = FIELDS.get(name.partition("[")[0])
    if known is None:
        allowed = ["file", *map(wire_name, FIELDS)]
        message = f"Unknown field {_shown(name)}; there are: {', '.join(allowed)}."
        raise OptionInvalid(message, param=name[:_SHOWN_CHARS], allowed=allowed)
    return known


def _list(info: FieldInfo, name: str, texts: list[str]) -> tuple[Any, ...]:
    element = get_args(_bare(info))[0]
    return tuple(dict.fromkeys(_converted(text, element, name) for text in texts))


def _single(info: FieldInfo, name: str, texts: list[str]) -> Any:
    if len(texts) > 1:
        raise OptionInvalid(f"`{name}` stands {len(texts)} times in the form; send it once.", param=name)
    return texts[0] if info.name in _TEXTS else _converted(texts[0], info.type, name)


def _converted(text: str, wanted: Any, name: str) -> Any:
    try:
        return msgspec.convert(text, wanted, strict=False)
    except ValidationError as exc:
        if allowed := _choices(wanted):
            raise _not_allowed(name, text, allowed) from exc
        raise OptionInvalid(f"`{name}` is {_shown(text)}: {str(exc).replace(' | null', '')}.", param=name) from exc


def _not_allowed(name: str, text: str, allowed: list[str], when: str = "") -> OptionInvalid:
    return OptionInvalid(
        f"`{name}` is {_shown(text)}; allowed{when}: {', '.join(allowed)}.", param=name, allowed=allowed
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def _choices(wanted: Any) -> list[str]:
    bare = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    if bare is bool:
        return ["true", "false"]
    return list(get_args(bare)) if get_origin(bare) is Literal else []
