"""A multipart form as it arrives: text fields into memory, within limits, the audio onto disk.

Litestar's own form parser keeps a text part of any size in memory, and leaves its files to the garbage collector
when the body ends badly.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, cast

from litestar import Request
from litestar.types import Receive
from msgspec import Struct
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from gateway.api.disconnect import ClientGone
from gateway.api.settings import ApiSettings
from model_store.errors import AudioMissing, AudioTooLarge, OptionInvalid, RequestError

FILE = "file"
_WRITE_BYTES = 1 << 18  # one hop to a thread per so many bytes
_DISCARD_S = 5.0


class UploadLimits(Struct, frozen=True, kw_only=True):
    """`max_upload_bytes` bounds the audio itself; `spool_dir` empty is the system's own temporary directory."""

    api: ApiSettings
    max_upload_bytes: int
    spool_dir: str = ""


class Upload(Struct, kw_only=True):
    """A form that has arrived whole; `audio` stands at its beginning and is closed by whoever received it."""

    fields: dict[str, list[str]]
    audio: BinaryIO
    size_bytes: int


@asynccontextmanager
async def received(request: Request[Any, Any, Any], limits: UploadLimits) -> AsyncIterator[Upload]:
    """The form of a request; its file is gone when the context ends, however it ends.

    Raises AudioMissing, AudioTooLarge (by the announced length, else as soon as the limit is passed), OptionInvalid
    for what is no multipart form, and `ClientGone`.
    """
    with closing(_Form(limits)) as form:
        body, headers = _Body(request.receive, limits), dict(request.scope["headers"])
        try:
            boundary = _boundary(headers)
            _refuse_announced(headers, limits)
            await _read(body, boundary, form)
        except RequestError:
            # Whoever expects "100 Continue" has sent nothing yet, and need not.
            if b"expect" not in headers:
                await body.discard()
            raise
        yield await form.whole()


async def _read(body: "_Body", boundary: str, form: "_Form") -> None:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=body.limits.api.max_form_fields)
        async for chunk in body.chunks():
            for event in parser.parse(chunk):
                await form.take(event)
        parser.close()
    except ParserLimitReached as exc:
        raise OptionInvalid(f"The form is too large in its parts: {exc}.") from exc
    except MultipartError as exc:
        raise OptionInvalid(f"The body is not a whole multipart/form-data form: {exc}.") from exc


class _Body:
    """The body of a request, chunk by chunk; bounded, so that what is around the parts cannot go on for ever."""

    def __init__(self, receive: Receive, limits: UploadLimits) -> None:
        self.limits = limits
        self._receive = receive
        self._has_more = True
        self._bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        while self._has_more:
            chunk = await self._next()
            self._bytes += len(chunk)
            if self._bytes > self.limits.max_upload_bytes + self.limits.api.max_form_bytes:
                raise _too_large(self.limits)
            if chunk:
                yield chunk

    async def discard(self) -> None:
        """Read on for a while; a connection closed upon unread bytes is reset, and its sender never reads why."""
        left = self.limits.api.discard_bytes
        with suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(_DISCARD_S):
                while self._has_more and left > 0:
                    left -= len(await self._next())

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        self._has_more = message.get("more_body", False)
        return message.get("body", b"")


class _Form:
    """What has arrived so far; fed with the parser's events: a segment's head, its bytes, and None at its end."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._file: IO[bytes] = BytesIO()
        self._fields: dict[str, list[str]] = {}
        self._text = bytearray()
        self._text_bytes = 0
        self._unwritten = bytearray()
        self._audio_bytes = 0
        self._has_file = False
        self._name = ""

    async def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is None:
            self._end()
        elif self._name == FILE:
            await self._add_audio(event)
        else:
            self._add_text(event)

    async def whole(self) -> Upload:
        if not self._has_file:
            raise AudioMissing("The form has no part named `file`; send the recording there.", param=FILE)
        if not self._audio_bytes:
            raise AudioMissing("The file is empty (zero bytes).", param=FILE)
        if self._is_in_memory:
            self._file.seek(0)
        else:
            await self._flush()
            await asyncio.to_thread(self._file.seek, 0)
        return Upload(fields=self._fields, audio=cast(BinaryIO, self._file), size_bytes=self._audio_bytes)

    def _begin(self, segment: MultipartSegment) -> None:
        self._name = segment.name
        if self._name != FILE:
            return
        if self._has_file:
            raise OptionInvalid("The form has more than one part named `file`; send one recording.", param=FILE)
        self._has_file = True

    def _end(self) -> None:
        if self._name == FILE:
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError as exc:
            raise OptionInvalid(f"`{self._name}` is not UTF-8 text.", param=self._name) from exc
        self._fields.setdefault(self._name, []).append(text)
        self._text = bytearray()

    def _add_text(self, chunk: bytes | bytearray) -> None:
        self._text_bytes += len(chunk)
        limit = self._limits.api.max_form_bytes
        if self._text_bytes > limit:
            raise OptionInvalid(f"The text fields together pass {limit} bytes at `{self._name}`.", param=self._name)
        self._text += chunk

    async def _add_audio(self, chunk: bytes | bytearray) -> None:
        self._audio_bytes += len(chunk)
        if self._audio_bytes > self._limits.max_upload_bytes:
            raise _too_large(self._limits)
        if self._is_in_memory:
            self._file.write(chunk)
            return
        self._unwritten += chunk
        if len(self._unwritten) >= _WRITE_BYTES:
            await self._flush()

    @property
    def _is_in_memory(self) -> bool:
        """Whether the file has not gone to disk, where writing may take long."""
        return self._audio_bytes <= self._limits.api.upload_memory_bytes

    async def _flush(self) -> None:
        await asyncio.to_thread(self._write, bytes(self._unwritten))
        self._unwritten.clear()

    def _write(self, audio: bytes) -> None:
        if isinstance(self._file, BytesIO):
            begun = self._file
            self._file = TemporaryFile(dir=self._limits.spool_dir or None)  # noqa: SIM115 - `close` closes it
            self._file.write(begun.getbuffer())
        self._file.write(audio)

    def close(self) -> None:
        self._file.close()


def _boundary(headers: dict[bytes, bytes]) -> str:
    content_type, options = parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))
    if content_type != "multipart/form-data":
        said = f"{content_type[:80]!r}" if content_type else "no content type"
        raise OptionInvalid(
            f"Send multipart/form-data with the recording in a part named `file`; this request has {said}.",
            param="content-type",
        )
    if not options.get("boundary"):
        raise OptionInvalid("The content type names no multipart boundary.", param="content-type")
    return str(options["boundary"])


def _refuse_announced(headers: dict[bytes, bytes], limits: UploadLimits) -> None:
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limits.max_upload_bytes + limits.api.max_form_bytes:
        raise _too_large(limits)


def _too_large(limits: UploadLimits) -> AudioTooLarge:
    limit = limits.max_upload_bytes
    return AudioTooLarge(f"The file is larger than {limit} bytes.", param=FILE, max_upload_bytes=limit)
