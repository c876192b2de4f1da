"""What is said on the command line, and what is refused before anything is sent."""

from typing import Any

import msgspec
import pytest

from gateway.bench.address import Address
from gateway.bench.loop import Demand, Load
from gateway.bench.orders import Said, loads_of, order_of
from model_store.errors import OptionInvalid
from model_store.starter.install import bundled_samples
from tests.options import PLAIN

ADDRESS = Address.of_url("http://127.0.0.1:1")


def said(**changes: Any) -> Said:
    return msgspec.structs.replace(PLAIN, **changes)


def test_loads_where_nothing_is_said_are_one_client_for_half_a_minute() -> None:
    assert loads_of(PLAIN) == [Load(clients=1, seconds=30.0, warm_up_s=5.0)]


def test_loads_are_a_run_per_number() -> None:
    found = loads_of(said(clients="1,4, 16", requests=50, seed=3))
    assert [load.clients for load in found] == [1, 4, 16]
    assert {(load.seconds, load.requests, load.seed) for load in found} == {(None, 50, 3)}
    rates = loads_of(said(rate="0.5,20", arrivals="bursty", seconds=7.0))
    assert [load.demand for load in rates] == [Demand(0.5, "bursty"), Demand(20.0, "bursty")]
    assert {load.seconds for load in rates} == {7.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"clients": "1", "rate": "1"},
        {"seconds": 1.0, "requests": 1},
        {"clients": "0"},
        {"clients": "901"},
        {"clients": "1,x"},
        {"clients": "1.5"},
        {"rate": "0"},
        {"rate": "nan"},
        {"rate": "-1"},
        {"cut": "0"},
        {"cut": ","},
        {"fields": ["language"]},
        {"fields": ["=zh"]},
        {"headers": ["x-mine"]},
        {"fields": ["response_format=srt"]},
    ],
)
def test_order_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionInvalid):
        order_of(said(**changes), ADDRESS, None)


def test_order_has_a_request_per_clip_with_what_was_said() -> None:
    order = order_of(said(fields=["domain=general"], headers=["X-Mine: 1"], api_key="k"), ADDRESS, 7)
    general = [sample for sample in bundled_samples() if sample.domain == "general"]
    assert (len(order.clips), order.pid) == (len(general), 7)
    for clip, request in zip(order.clips, order.requests, strict=True):
        assert clip.audio in request
        assert b'name="domain"\r\n\r\ngeneral\r\n' in request
        assert b"\r\nx-mine: 1\r\n" in request
        assert b"\r\nauthorization: Bearer k\r\n" in request
        assert b'name="language"' not in request


def test_order_that_says_languages_says_each_clips_own() -> None:
    order = order_of(said(say_language=True, fields=["language=xx"]), ADDRESS, None)
    for clip, request in zip(order.clips, order.requests, strict=True):
        assert request.count(b'name="language"') == 1
        assert f'name="language"\r\n\r\n{clip.language}\r\n'.encode() in request


def test_order_for_paddlespeech_is_wav_and_keeps_the_key_back() -> None:
    order = order_of(said(server="paddlespeech", api_key="secret", say_language=True), ADDRESS, None)
    assert all(clip.audio[:4] == b"RIFF" for clip in order.clips)
    assert not any(b"secret" in request for request in order.requests)
    assert f'"lang":"{order.clips[0].language}"'.encode() in order.requests[0]
