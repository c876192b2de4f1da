"""The servers that can be driven: how a clip is asked of each, and what its answers say."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from gateway.bench.address import Address
from gateway.bench.connections import Response
from gateway.bench.recordings import Clip
from model_store.errors import OptionInvalid

ServerKind = Literal["voxgate", "paddlespeech"]
SERVER_KINDS: Final[tuple[ServerKind, ...]] = get_args(ServerKind)
Fields = Sequence[tuple[str, str]]
T = TypeVar("T")

_BOUNDARY: Final = "voxgate-bench-7f3a9c51e0"
_UNREADABLE: Final = "answer_unreadable"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Answer(Struct, frozen=True, kw_only=True):
    """What a server said, whichever it is. `code` is None where it is a text, else what went wrong."""

    code: str | None = None
    message: str = ""
    text: str = ""
    stages_ms: dict[str, float] = {}
    is_cold: bool = False


class Target(Protocol):
    """A kind of server."""

    @property
    def kind(self) -> ServerKind:
        """Its name."""
        ...

    @property
    def wants_wav(self) -> bool:
        """Whether it may not know other containers."""
        ...

    def request(self, clip: Clip, fields: Fields) -> tuple[str, str, bytes]:
        """Path, content type and body that ask for a clip's text; raises OptionInvalid for a field that cannot be."""
        ...

    def answer(self, response: Response) -> Answer:
        """What a response says."""
        ...


class VoxgateTarget:
    """Voxgate, or any other server that speaks OpenAI's audio protocol, whose answers then tell no stages."""

    kind: ClassVar[ServerKind] = "voxgate"
    wants_wav: ClassVar[bool] = False

    def request(self, clip: Clip, fields: Fields) -> tuple[str, str, bytes]:
        """A form as OpenAI's clients send it."""
        said = dict(fields)
        if said.get("response_format", "json") not in ("json", "verbose_json") or "stream" in said:
            told = "The answers must be JSON that comes in one piece: only response_format=verbose_json can be said."
            raise OptionInvalid(told, param="field")
        defaults = [(name, value) for name, value in _DEFAULTS.items() if name not in said]
        parts = [_part(f'name="{name}"', value.encode()) for name, value in (*defaults, *fields)]
        name = re.sub(r'[\r\n"\\]', "_", clip.name.rpartition("/")[2])
        file = _part(f'name="file"; filename="{name}"', clip.audio, "Content-Type: application/octet-stream\r\n")
        body = b"".join([*parts, file, f"--{_BOUNDARY}--\r\n".encode()])
        return "/v1/audio/transcriptions", f"multipart/form-data; boundary={_BOUNDARY}", body

    def answer(self, response: Response) -> Answer:
        """The text, and what Voxgate adds to it."""
        if response.status != 200:
            error = getattr(_read(response.body, _Refusal), "error", None) or _OpenAiError()
            return Answer(code=error.code or f"http_{response.status}", message=error.message)
        body = _read(response.body, _Transcription)
        if body is None:
            return Answer(code=_UNREADABLE)
        return Answer(text=body.text, stages_ms=body.voxgate.stages_ms, is_cold=body.voxgate.is_cold)


class PaddleSpeechTarget:
    """`paddlespeech_server` over HTTP. It reads WAV and what libsndfile reads, at the rate of its model."""

    kind: ClassVar[ServerKind] = "paddlespeech"
    wants_wav: ClassVar[bool] = True

    def request(self, clip: Clip, fields: Fields) -> tuple[str, str, bytes]:
        """As its own client does, but with the content type that a FastAPI of today insists on."""
        audio = base64.b64encode(clip.audio).decode()
        said = {"audio": audio, "audio_format": "wav", "sample_rate": 16000, "lang": "zh_cn", "punc": False}
        return "/paddlespeech/asr", "application/json", msgspec.json.encode(said | dict(fields))

    def answer(self, response: Response) -> Answer:
        """The text; what goes wrong comes with status 200 too."""
        if response.status != 200:
            return Answer(code=f"http_{response.status}")
        body = _read(response.body, _PaddleSpeechBody)
        if body is None or (body.success and body.result is None):
            return Answer(code=_UNREADABLE)
        if body.result is None or not body.success:
            return Answer(code=f"paddlespeech_{body.code}", message=body.message.get("description", ""))
        return Answer(text=body.result.transcription)


TARGETS: Final[Mapping[ServerKind, Target]] = {
    "voxgate": VoxgateTarget(),
    "paddlespeech": PaddleSpeechTarget(),
}


def request_bytes(
    target: Target, address: Address, clip: Clip, fields: Fields, headers: Iterable[tuple[str, str]]
) -> bytes:
    """The whole request for a clip, as it goes over the wire; raises OptionInvalid."""
    path, content_type, body = target.request(clip, fields)
    own = {"host": address.authority, "user-agent": "voxgate-bench", "accept": "application/json"}
    fixed = {"content-type": content_type, "content-length": str(len(body))}
    said = {name.lower(): value for name, value in headers}
    lines = [f"POST {address.path}{path} HTTP/1.1", *map(_line, (own | said | fixed).items())]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def _line(header: tuple[str, str]) -> str:
    name, value = header
    if not _TOKEN.fullmatch(name) or not value.isprintable():
        raise OptionInvalid(f"{name[:40]!r} cannot be a header.", param="header")
    return f"{name}: {value}"


def _part(disposition: str, content: bytes, more: str = "") -> bytes:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode() + content + b"\r\n"


_DEFAULTS: Final = {"model": "auto", "response_format": "json"}


class _Extras(Struct, frozen=True):
    stages_ms: dict[str, float] = {}
    is_cold: bool = False


class _Transcription(Struct, frozen=True):
    text: str
    voxgate: _Extras = _Extras()


class _OpenAiError(Struct, frozen=True):
    code: str | None = None
    message: str = ""


class _Refusal(Struct, frozen=True):
    error: _OpenAiError


class _PaddleSpeechResult(Struct, frozen=True):
    transcription: str


class _PaddleSpeechBody(Struct, frozen=True):
    success: bool
    code: Annotated[int, Meta(description="200, or one of its server/utils/errors.py.")] = 200
    message: dict[str, Any] = {}
    result: _PaddleSpeechResult | None = None


def _read(body: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        return None
