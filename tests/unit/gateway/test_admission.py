"""Who is let in, and when everybody has left."""

import asyncio
from typing import Any

import pytest

from gateway.admission import Admission
from model_store.errors import ShuttingDown


async def visit(admission: Admission, path: str, stay: asyncio.Event, arrived: asyncio.Event) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await stay.wait()

    async def nothing(*_: Any) -> Any:
        return None

    await admission.around(app)({"type": "http", "path": path}, nothing, nothing)  # type: ignore[arg-type, typeddict-item]


async def test_admission_counts_a_request_from_its_first_byte_to_its_last() -> None:
    admission, stay, arrived = Admission(), asyncio.Event(), asyncio.Event()
    visiting = asyncio.create_task(visit(admission, "/v1/models", stay, arrived))
    await arrived.wait()
    assert admission.inside == 1
    assert not await admission.emptied(timeout_s=0.01)
    stay.set()
    await visiting
    assert await admission.emptied(timeout_s=0.01)


async def test_admission_counts_no_health_checks() -> None:
    admission, stay, arrived = Admission(), asyncio.Event(), asyncio.Event()
    visiting = asyncio.create_task(visit(admission, "/healthz", stay, arrived))
    await arrived.wait()
    assert admission.inside == 0
    stay.set()
    await visiting


async def test_admission_request_that_fails_has_left() -> None:
    admission = Admission()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await admission.around(broken)({"type": "http", "path": "/v1/x"}, None, None)  # type: ignore[arg-type, typeddict-item]
    assert admission.inside == 0


async def test_admission_closed_who_was_let_in_before_may_still_finish() -> None:
    admission = Admission()

    async def slow_to_check(scope: Any, receive: Any, send: Any) -> None:
        admission.close()
        admission.check()

    await admission.around(slow_to_check)({"type": "http", "path": "/v1/x"}, None, None)  # type: ignore[arg-type, typeddict-item]
    with pytest.raises(ShuttingDown):
        await admission.around(slow_to_check)({"type": "http", "path": "/v1/x"}, None, None)  # type: ignore[arg-type, typeddict-item]


async def test_admission_closed_lets_nobody_in() -> None:
    admission = Admission()
    admission.check()
    admission.close()
    with pytest.raises(ShuttingDown) as refused:
        admission.check()
    assert refused.value.retry_after_s > 0
