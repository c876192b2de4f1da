"""A transcript as it grows, as server-sent events of OpenAI's protocol."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Struct

from gateway.api import formats
from gateway.api.bodies import DeltaEvent, SegmentEvent
from gateway.api.errors import encoded, render, report
from gateway.api.form import TranscriptionForm
from gateway.api.record import RequestRecord, finished
from gateway.transcript import SpokenSegment, Transcript, spaced_after

Steps = AsyncGenerator[SpokenSegment | Transcript]


class EventStream(Response[bytes]):
    """Sends events until they end or the caller hangs up; then, in any case, closes what `held` holds."""

    def __init__(self, events: AsyncGenerator[bytes, None], held: AsyncExitStack, headers: dict[str, str]) -> None:
        # Proxies must neither keep the events back nor keep them.
        super().__init__(b"", headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        self._events = events
        self._held = held

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return _HoldingResponse(self._events, self._held, self.headers)


class _HoldingResponse(ASGIStreamingResponse):
    def __init__(self, events: AsyncGenerator[bytes, None], held: AsyncExitStack, headers: dict[str, str]) -> None:
        super().__init__(iterator=events, headers=headers, media_type="text/event-stream")
        self._events = events
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A generator that waits at its `yield` when the caller hangs up would else end when garbage is collected.
        async with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._events.aclose()


class Growing(Struct, kw_only=True):
    """The events of one request; `text` is what the deltas have said so far."""

    form: TranscriptionForm
    record: RequestRecord
    text: str = ""

    async def events(self, first: SpokenSegment | Transcript, steps: Steps) -> AsyncGenerator[bytes, None]:
        """`data:` lines; an error after the first step is the last of them."""
        try:
            for event in self._of(first):
                yield event
            async for step in steps:
                for event in self._of(step):
                    yield event
        except Exception as exc:
            yield self._failed(exc)

    def _of(self, step: SpokenSegment | Transcript) -> list[bytes]:
        if isinstance(step, SpokenSegment):
            return self._segment(step)
        finished(self.record, step)
        answered = formats.Answered(transcript=step, form=self.form, request_id=self.record.request_id)
        return [_data(formats.done_event(answered))]

    def _segment(self, segment: SpokenSegment) -> list[bytes]:
        if not (delta := spaced_after(self.text, segment.text)):
            return []
        self.text += delta
        by_channel = self.form.channels == "separate"
        name = f"seg_{segment.index}"
        times = SegmentEvent(
            id=name,
            start=round(segment.start_s, 3),
            end=round(segment.end_s, 3),
            text=segment.text,
            speaker=str(segment.channel + 1) if by_channel else "",
            voxgate=formats.segment_extras(segment, by_channel=by_channel),
        )
        logprobs = formats.logprobs(segment) if "logprobs" in self.form.include else UNSET
        return [_data(DeltaEvent(delta=delta, segment_id=name, logprobs=logprobs)), _data(times)]

    def _failed(self, exc: Exception) -> bytes:
        rendered = render(exc, self.record.request_id)
        report(exc, rendered)
        self.record.code = rendered.body.error.code
        return _line(encoded(rendered.body))


def _data(event: Struct) -> bytes:
    return _line(msgspec.json.encode(event))


def _line(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
