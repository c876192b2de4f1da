"""A door with a scripted pipeline behind it, on a real server in a thread, or called in the test's own loop."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, BinaryIO

import httpx
import openai
import pytest
import uvicorn
from litestar import Litestar

from gateway.api import ApiSettings, Doors, Observed, UploadLimits
from gateway.transcript import Ask, Decision, ServedModel, SpokenSegment, Transcript, joined
from model_store.predictors.hypotheses import Word

LIMITS = UploadLimits(
    api=ApiSettings(max_form_bytes=20_000, max_form_fields=50, upload_memory_bytes=50_000, discard_bytes=100_000),
    max_upload_bytes=200_000,
)
ZH = Decision(
    model="zh-general",
    version="5f2c9a1e",
    language="zh",
    language_confidence=0.99812,
    domain="general",
    reason="language detected",
)
EN = Decision(
    model="en-general", version="77aa", language="en", language_confidence=1.0, domain="general", reason="language said"
)


def segment(
    index: int, text: str, start_s: float, end_s: float, *, decision: Decision = ZH, channel: int = 0
) -> SpokenSegment:
    """A segment with one word per character of Chinese, or per word of English, evenly in time."""
    words = list(text) if decision is ZH else text.split()
    step_s = (end_s - start_s) / max(1, len(words))
    return SpokenSegment(
        index=index,
        channel=channel,
        start_s=start_s,
        end_s=end_s,
        text=text,
        confidence=0.9,
        words=tuple(Word(word, start_s + n * step_s, start_s + (n + 1) * step_s, 0.5) for n, word in enumerate(words)),
        decision=decision,
    )


def transcript(*segments: SpokenSegment, duration_s: float = 4.5, **more: Any) -> Transcript:
    decisions = {spoken.channel: spoken.decision for spoken in segments}
    facts = {
        "text": joined(spoken.text for spoken in segments),
        "duration_s": duration_s,
        "segments": segments,
        "decisions": tuple(decisions.values()),
        "stages_ms": {"decode": 4.25, "search": 3.0},
        "is_cold": False,
        "devices": ("cpu",),
        "is_degraded": False,
    }
    return Transcript(**{**facts, **more})


CHINESE = transcript(segment(0, "今天天气很好", 0.5, 2.0), segment(1, "我们走吧", 2.5, 4.0))
ENGLISH = transcript(segment(0, "hello there", 0.5, 2.0, decision=EN), segment(1, "how are you", 2.5, 4.0, decision=EN))
CALL = transcript(segment(0, "你好", 0.5, 1.0), segment(1, "good morning", 1.5, 2.5, decision=EN, channel=1))


@pytest.fixture
def samples() -> SimpleNamespace:
    """Transcripts, and how to make others; by a fixture, for a test module cannot import its conftest."""
    return SimpleNamespace(
        chinese=CHINESE, english=ENGLISH, call=CALL, zh=ZH, en=EN, limits=LIMITS, segment=segment, transcript=transcript
    )


@dataclass
class ScriptedPipeline:
    """Answers every request with `answer`, else by `script`: exceptions are raised, "wait" waits for ever."""

    answer: Transcript = CHINESE
    script: list[Any] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    sources: list[BinaryIO] = field(default_factory=list)
    waits: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    async def transcribe(self, source: BinaryIO, ask: Ask) -> Transcript:
        *_, last = [step async for step in self.stream(source, ask)]
        assert isinstance(last, Transcript)
        return last

    async def stream(self, source: BinaryIO, ask: Ask) -> AsyncGenerator[SpokenSegment | Transcript]:
        self.asks.append(ask)
        self.sources.append(source)
        self.audio.append(source.read())
        try:
            for step in self.script or [*self.answer.segments, self.answer]:
                if isinstance(step, Exception):
                    raise step
                if step == "wait":
                    self.waits.set()
                    await asyncio.Event().wait()
                yield step
        finally:
            self.ended.set()

    def models(self) -> list[ServedModel]:
        created_at = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
        facts = {"kind": "asr", "domain": "general", "created_at": created_at}
        return [
            ServedModel(name="zh-general", language="zh", version="5f2c9a1e", **facts),
            ServedModel(name="en-general", language="en", version="77aa", **facts),
        ]


@dataclass
class Door:
    """The application and what a test may change behind it."""

    pipeline: ScriptedPipeline = field(default_factory=ScriptedPipeline)
    reasons: list[str] = field(default_factory=list)
    url: str = ""

    def application(self) -> Observed:
        doors = Doors(LIMITS, pipeline=lambda: self.pipeline, readiness=lambda: self.reasons)
        return Observed(Litestar(plugins=[doors]))


@pytest.fixture(scope="session")
def served() -> Iterator[Door]:
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        door.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(door.application(), log_config=None, lifespan="on", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield door
        server.should_exit = True
        thread.join()


@pytest.fixture
def door(served: Door) -> Door:
    """A real server, with a fresh pipeline behind it."""
    served.pipeline = ScriptedPipeline()
    served.reasons = []
    return served


@pytest.fixture
def client(door: Door) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=door.url, timeout=30) as client:
        yield client


@pytest.fixture
async def inside() -> AsyncIterator[tuple[httpx.AsyncClient, Door]]:
    """The application in the test's own loop, without a server."""
    door = Door()
    transport = httpx.ASGITransport(door.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        yield client, door


@dataclass
class Caller:
    """One request to the application itself, message by message, as a server would hand it on."""

    door: Door
    sent: list[dict[str, Any]] = field(default_factory=list)
    inbox: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    has_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, *chunks: bytes, is_whole: bool = True) -> asyncio.Task[None]:
        for number, chunk in enumerate(chunks, start=1):
            has_more = number < len(chunks) or not is_whole
            self.inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": has_more})
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/audio/transcriptions",
            "raw_path": b"/v1/audio/transcriptions",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"door"), (b"content-type", b"multipart/form-data; boundary=b")],
            "client": None,
            "server": None,
        }
        return asyncio.create_task(self.door.application()(scope, self.inbox.get, self._send))

    def hang_up(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and message["body"]:
            self.has_answer.set()


@pytest.fixture
def caller() -> Caller:
    return Caller(Door())


@pytest.fixture
def part() -> Callable[..., bytes]:
    """One part of a form whose boundary is "b"; `end` closes the form."""

    def written(name: str, content: bytes, *, filename: str | None = None, end: bool = False) -> bytes:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        head = f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        return head + content + b"\r\n" + (b"--b--\r\n" if end else b"")

    return written
