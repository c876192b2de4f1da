"""Callers who hang up: what was started for them ends, and nothing of theirs is left."""

import asyncio
import socket
from urllib.parse import urlsplit

import psutil
import pytest

from gateway.api.disconnect import ClientGone, unless_gone

BIG = b"x" * 150_000


async def hears_nothing():
    return await asyncio.Event().wait()


async def hears_hanging_up():
    return {"type": "http.disconnect"}


async def test_work_that_ends_first_gives_its_outcome():
    async def work():
        return 7

    assert await unless_gone(hears_nothing, work()) == 7


async def test_work_that_fails_gives_its_error():
    async def work():
        raise KeyError("x")

    with pytest.raises(KeyError):
        await unless_gone(hears_nothing, work())


async def test_work_whose_own_time_is_up_says_so():
    async def work():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await unless_gone(hears_nothing, work())


async def test_wait_for_work_leaves_no_task_behind():
    async def work():
        await asyncio.sleep(0)  # so that listening has begun

    before = asyncio.all_tasks()
    await unless_gone(hears_nothing, work())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_work_of_a_caller_who_hangs_up_is_over_before_it_is_said():
    steps = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    with pytest.raises(ClientGone):
        await unless_gone(hears_hanging_up, work())
    assert steps == ["cleaned"]


async def test_cancelling_the_wait_cancels_the_work():
    started, ended = asyncio.Event(), asyncio.Event()

    async def work():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(unless_gone(hears_nothing, work()))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


@pytest.mark.parametrize("fields", [[], [("stream", b"true")]], ids=["whole", "stream"])
async def test_hanging_up_while_waiting_cancels_the_pipeline_and_closes_the_file(caller, part, fields):
    pipeline = caller.door.pipeline
    pipeline.script = ["wait"]
    body = b"".join(part(*field) for field in fields) + part("file", BIG, filename="a", end=True)
    request = caller.start(body)
    assert await asyncio.to_thread(pipeline.waits.wait, 10)
    assert not pipeline.sources[0].closed
    caller.hang_up()
    await request
    assert pipeline.ended.is_set()
    assert pipeline.sources[0].closed
    assert caller.sent[0]["status"] == 499


async def test_hanging_up_in_the_middle_of_a_stream_cancels_the_pipeline_and_closes_the_file(caller, part, samples):
    pipeline = caller.door.pipeline
    pipeline.script = [samples.segment(0, "你好", 0, 1), "wait"]
    request = caller.start(part("stream", b"true") + part("file", BIG, filename="a", end=True))
    await caller.has_answer.wait()
    assert not pipeline.ended.is_set()
    caller.hang_up()
    await request
    assert pipeline.ended.is_set()
    assert pipeline.sources[0].closed


async def test_hanging_up_before_the_upload_is_whole_leaves_nothing(caller, part):
    before = psutil.Process().num_fds()
    request = caller.start(part("file", BIG * 1, filename="a"), is_whole=False)
    caller.hang_up()
    await request
    assert caller.door.pipeline.asks == []
    assert psutil.Process().num_fds() == before


async def test_cancelling_the_request_itself_closes_the_file(caller, part):
    pipeline = caller.door.pipeline
    pipeline.script = ["wait"]
    request = caller.start(part("file", BIG, filename="a", end=True))
    assert await asyncio.to_thread(pipeline.waits.wait, 10)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert pipeline.ended.is_set()
    assert pipeline.sources[0].closed


def test_hanging_up_on_a_real_server_cancels_the_pipeline(door, part):
    door.pipeline.script = ["wait"]
    body = part("file", b"abc", filename="a", end=True)
    head = f"Host: door\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    address = urlsplit(door.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"POST /v1/audio/transcriptions HTTP/1.1\r\n{head}".encode() + body)
        assert door.pipeline.waits.wait(10)
        assert not door.pipeline.ended.is_set()
    assert door.pipeline.ended.wait(10)
