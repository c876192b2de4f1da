"""Whole measurements against small servers on real sockets: one that speaks OpenAI's protocol, and PaddleSpeech's."""

import asyncio
import base64
import io
import itertools
import json
import wave
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.bench import session
from gateway.bench.address import Address
from gateway.bench.figures import Run
from gateway.bench.loop import Demand, Load
from gateway.bench.orders import order_of
from gateway.bench.session import measure
from model_store.errors import LanguageUnknown, ModelUnavailable, OptionInvalid
from model_store.starter.install import bundled_samples
from tests.options import PLAIN

QUICK = msgspec.structs.replace(PLAIN, clients="4", requests=40, warm_up_s=0.0, timeout_s=30.0, deadline_s=10.0)
Answers = Callable[[int, bytes], tuple[int, Any]]


def app_of(answer: Answers) -> Callable[..., Awaitable[None]]:
    """Answers the n-th request with what `answer` makes of its number and its body."""
    numbers = itertools.count()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number, body = next(numbers), b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, content = answer(number, body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return app


async def measured(address: Address, stop: asyncio.Event | None = None, **changes: Any) -> list[Run]:
    runs: list[Run] = []
    order = order_of(msgspec.structs.replace(QUICK, **changes), address, None)
    await measure(order, stop or asyncio.Event(), lambda _: None, runs.append)
    return runs


def right(number: int, body: bytes) -> tuple[int, Any]:
    """The text of the bundled samples, which are told apart by their bytes; every tenth request waited for a load."""
    stages = {"decode": 1.0, "total": 5.0} | ({"load": 3.0} if number % 10 == 0 else {})
    return 200, {"text": TEXTS[body[-2000:-1900]], "voxgate": {"stages_ms": stages, "is_cold": number % 10 == 0}}


TEXTS = {
    request[-2000:-1900]: clip.text
    for order in [order_of(QUICK, Address.of_url("http://a"), None)]
    for clip, request in zip(order.clips, order.requests, strict=True)
}


async def test_measure_tells_what_the_server_did(serving) -> None:
    async with serving(app_of(right)) as address:
        (run,) = await measured(address)
    assert (run.requests, run.errors, run.is_interrupted, run.unanswered) == (40, {}, False, 0)
    assert (run.texts_checked, run.texts_wrong, run.cold) == (40, 0, 4)
    assert {name: found.count for name, found in run.stages_ms.items()} == {"load": 4, "decode": 40, "total": 40}
    assert run.latency_ms is not None
    assert 0 < run.latency_ms.p50 <= run.latency_ms.p95 <= run.latency_ms.p99 <= run.latency_ms.max
    assert run.goodput is not None
    assert run.goodput.share == 1.0
    assert run.requests_per_s == pytest.approx(40 / run.counted_s)
    assert run.generator.cpu_s > 0


async def test_measure_runs_one_load_after_another(serving) -> None:
    async with serving(app_of(right)) as address:
        runs = await measured(address, clients="1,2,3", requests=6)
        (opened,) = await measured(address, clients=None, rate="200", arrivals="bursty")
    assert [(run.load.clients, run.requests) for run in runs] == [(1, 6), (2, 6), (3, 6)]
    assert (opened.load.demand, opened.requests) == (Demand(200.0, "bursty"), 40)
    assert opened.generator.sent_late_ms is not None


async def test_measure_counts_wrong_texts_and_errors_apart(serving) -> None:
    def sometimes(number: int, body: bytes) -> tuple[int, Any]:
        if number % 4 == 1:
            return 429, {"error": {"message": "Come again.", "code": "queue_full"}}
        if number % 4 == 2:
            return 200, {"text": "something else"}
        return right(number, body)

    async with serving(app_of(sometimes)) as address:
        (run,) = await measured(address)
    assert (run.requests, run.errors) == (40, {"queue_full": 10})
    assert run.error_messages == {"queue_full": "Come again."}
    assert (run.texts_checked, run.texts_wrong) == (30, 10)


async def test_measure_of_a_request_that_is_always_refused_ends_at_once_with_the_reason(serving) -> None:
    refusal = {"error": {"message": "No model speaks 'xx'.", "code": "language_unknown"}}
    async with serving(app_of(lambda *_: (400, refusal))) as address:
        with pytest.raises(LanguageUnknown, match="No model speaks 'xx'"):
            await measured(address, requests=1_000_000)


async def test_measure_of_another_kind_of_server_says_so(serving) -> None:
    async with serving(app_of(lambda *_: (404, {"detail": "Not Found"}))) as address:
        with pytest.raises(OptionInvalid, match=r"says 404.*--server"):
            await measured(address)


async def test_measure_that_is_stopped_tells_what_it_has(serving) -> None:
    stop, never = asyncio.Event(), asyncio.Event()

    def thirty(number: int, body: bytes) -> tuple[int, Any]:
        if number == 30:
            stop.set()
        return right(number, body)

    app = app_of(thirty)

    async def stalling(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, never.wait if stop.is_set() else send)

    async with serving(stalling) as address:
        (run,) = await measured(address, stop, clients="4,8", requests=1_000)
    assert run.is_interrupted
    assert 0 < run.requests <= 31
    assert run.latency_ms is not None
    assert run.unanswered <= 4


async def test_measure_of_a_server_that_goes_away_ends_with_what_there_is(
    serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_GONE_AFTER_S", 0.3)
    runs: list[Run] = []
    has_answered = asyncio.Event()

    def some(number: int, body: bytes) -> tuple[int, Any]:
        if number == 20:
            has_answered.set()
        return right(number, body)

    async with serving(app_of(some)) as address:
        order = order_of(msgspec.structs.replace(QUICK, requests=1_000_000), address, None)
        measuring = asyncio.create_task(measure(order, asyncio.Event(), lambda _: None, runs.append))
        await has_answered.wait()
    with pytest.raises(ModelUnavailable, match=r"could not be reached for 0\.3 s"):
        await measuring
    (run,) = runs
    assert run.is_interrupted
    assert run.errors["unreachable"] > 1
    assert run.latency_ms is not None


# PaddleSpeech, as its server/restful/asr_api.py has it -------------------------------------------------------------


def paddlespeech(number: int, body: bytes) -> tuple[int, Any]:
    """Checks what its ASRRequest and its engine check; every fifth request fails as its engine's failures do."""
    said = json.loads(body)
    types = {"audio": str, "audio_format": str, "sample_rate": int, "lang": str}
    if any(not isinstance(said.get(name), kind) for name, kind in types.items()):
        return 422, {"detail": []}
    with wave.open(io.BytesIO(base64.b64decode(said["audio"]))) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
    if number % 5 == 4:
        return 200, {"success": False, "code": 509, "message": {"description": "Unknown error occurred."}}
    return 200, {
        "success": True,
        "code": 200,
        "message": {"description": "success"},
        "result": {"transcription": bundled_samples()[0].text},
    }


async def test_measure_of_paddlespeech_has_the_same_figures(serving) -> None:
    async with serving(app_of(paddlespeech)) as address:
        (run,) = await measured(address, server="paddlespeech")
    assert (run.requests, run.errors) == (40, {"paddlespeech_509": 8})
    assert run.texts_checked == 32
    assert 0 < run.texts_wrong < 32
    assert run.latency_ms is not None
    assert (run.stages_ms, run.cold) == ({}, 0)


async def test_measure_by_seconds_has_its_warm_up_before(serving) -> None:
    async with serving(app_of(right)) as address:
        (run,) = await measured(address, requests=None, seconds=0.3, warm_up_s=0.2)
    assert run.load == Load(clients=4, seconds=0.3, warm_up_s=0.2)
    assert run.counted_s == pytest.approx(0.3)
    assert run.requests > 4
