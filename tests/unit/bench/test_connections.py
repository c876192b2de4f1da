"""The generator's own HTTP, against servers that keep the connection, drop it, stall, or talk nonsense."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.bench.address import Address
from gateway.bench.connections import Unanswered, connections
from model_store.errors import ModelUnavailable, OptionInvalid

REQUEST = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


async def read_one(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(len(REQUEST))


def answering(answer: bytes, *, times: int, seen: list[int]) -> Callable[..., object]:
    """Answers so many requests of each connection, then hangs up; notes how many each connection was asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(0)
        mine = len(seen) - 1
        for _ in range(times):
            await read_one(reader)
            seen[mine] += 1
            writer.write(answer)
            await writer.drain()

    return talk


async def test_connection_is_kept_for_the_next_request(talking) -> None:
    seen: list[int] = []
    async with talking(answering(OK, times=9, seen=seen)) as address, connections(address, 5.0) as pool:
        answers = [await pool.ask(REQUEST) for _ in range(3)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"hi")] * 3
    assert seen == [3]


async def test_requests_at_the_same_time_have_a_connection_each(talking) -> None:
    everybody_is_here = asyncio.Barrier(5)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_one(reader)
        await everybody_is_here.wait()
        writer.write(OK)
        await writer.drain()

    async with talking(talk) as address, connections(address, 5.0) as pool:
        answers = await asyncio.gather(*(pool.ask(REQUEST) for _ in range(5)))
    assert [answer.body for answer in answers] == [b"hi"] * 5


async def test_answer_in_chunks_is_put_together(talking) -> None:
    chunked = b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    async with talking(answering(chunked, times=2, seen=[])) as address, connections(address, 5.0) as pool:
        for _ in range(2):
            answer = await pool.ask(REQUEST)
            assert (answer.status, answer.body) == (503, b"hello world")


async def test_answer_that_closes_has_the_next_one_on_a_new_connection(talking) -> None:
    seen: list[int] = []
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
    async with talking(answering(closing, times=1, seen=seen)) as address, connections(address, 5.0) as pool:
        for _ in range(3):
            assert (await pool.ask(REQUEST)).body == b"hi"
    assert seen == [1, 1, 1]


async def test_kept_connection_that_the_server_dropped_meanwhile_costs_no_request(talking) -> None:
    seen: list[int] = []
    async with talking(answering(OK, times=1, seen=seen)) as address, connections(address, 5.0) as pool:
        for _ in range(3):
            assert (await pool.ask(REQUEST)).body == b"hi"
    assert seen[:3] == [1, 1, 1]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "connection_lost"),
        (OK[:-1], "connection_lost"),
        (b"220 mail.example ESMTP\r\n", "answer_unreadable"),
    ],
)
async def test_server_that_breaks_off_is_told_by_a_code(talking, said: bytes, code: str) -> None:
    async with talking(answering(said, times=1, seen=[])) as address, connections(address, 5.0) as pool:
        with pytest.raises(Unanswered) as unanswered:
            await pool.ask(REQUEST)
    assert unanswered.value.code == code


async def test_server_that_stalls_is_hung_up_on_when_time_is_up(talking) -> None:
    is_gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_one(reader)
        with contextlib.suppress(OSError):
            await reader.read()
        is_gone.set()

    async with talking(talk) as address, connections(address, 0.05) as pool:
        with pytest.raises(Unanswered) as unanswered:
            await pool.ask(REQUEST)
        assert unanswered.value.code == "timeout"
        await asyncio.wait_for(is_gone.wait(), 5.0)


async def test_request_that_is_cancelled_hangs_up(talking) -> None:
    has_asked, is_gone = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_one(reader)
        has_asked.set()
        with contextlib.suppress(OSError):
            await reader.read()
        is_gone.set()

    async with talking(talk) as address, connections(address, 5.0) as pool:
        asking = asyncio.create_task(pool.ask(REQUEST))
        await has_asked.wait()
        asking.cancel()
        await asyncio.wait_for(is_gone.wait(), 5.0)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_nobody_listening_is_said_before_anything_is_sent(talking) -> None:
    async with talking(answering(OK, times=1, seen=[])) as address:
        pass
    with pytest.raises(ModelUnavailable, match="No server answers at http://127"):
        async with connections(address, 5.0):
            pass


async def test_unix_socket_is_reached_like_an_address(tmp_path: Path) -> None:
    path = tmp_path / "s"
    talk = answering(OK, times=1, seen=[])
    async with await asyncio.start_unix_server(talk, path), connections(Address.of_socket(path), 5.0) as pool:
        assert (await pool.ask(REQUEST)).body == b"hi"


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://10.0.0.7:8080", "10.0.0.7:8080", ""),
        ("http://example.org/speech/v1/", "example.org", "/speech"),
        ("https://example.org/v1", "example.org", ""),
        ("http://[::1]:80/", "[::1]", ""),
    ],
)
def test_address_is_read_as_clients_write_it(url: str, authority: str, path: str) -> None:
    address = Address.of_url(url)
    assert (address.authority, address.path) == (authority, path)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://a", "http://", "http://a:99999", "http://a:b"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(OptionInvalid):
        Address.of_url(url)
