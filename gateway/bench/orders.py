"""What was said on the command line -> what is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.bench.address import Address
from gateway.bench.arrivals import Arrivals
from gateway.bench.connections import MAX_CONNECTIONS
from gateway.bench.loop import Demand, Load
from gateway.bench.recordings import Clip, clips_of
from gateway.bench.session import Order
from gateway.bench.targets import TARGETS, Fields, ServerKind, request_bytes
from model_store.errors import OptionInvalid

Number = TypeVar("Number", int, float)

_DEFAULT_S: Final = 30.0


class Said(Struct, frozen=True, kw_only=True):
    """The options as they were said; lists of numbers have commas."""

    files: Sequence[Path]
    server: ServerKind
    api_key: str | None
    headers: Sequence[str]
    fields: Sequence[str]
    say_language: bool
    cut: str | None
    as_wav: bool
    clients: str | None
    rate: str | None
    arrivals: Arrivals
    seconds: float | None
    requests: int | None
    warm_up_s: float
    timeout_s: float
    seed: int
    deadline_s: float | None

    def pairs(self) -> Fields:
        """The form fields."""
        return [_pair(text, "=", "field") for text in self.fields]


def order_of(said: Said, address: Address, pid: int | None) -> Order:
    """Everything that can be wrong is found here, before a request goes out; raises OptionInvalid."""
    loads = loads_of(said)
    target = TARGETS[said.server]
    headers = [_pair(text, ":", "header") for text in said.headers]
    if said.api_key and said.server == "voxgate":
        headers = [("authorization", f"Bearer {said.api_key}"), *headers]
    cut_s = _numbers(said.cut, float, "cut", 0.1, 3600.0)
    clips = clips_of(said.files, cut_s=cut_s, as_wav=said.as_wav or target.wants_wav)
    requests = [request_bytes(target, address, clip, _fields(said, clip), headers) for clip in clips]
    return Order(
        target=target,
        address=address,
        clips=clips,
        requests=requests,
        loads=loads,
        deadline_s=said.deadline_s,
        timeout_s=said.timeout_s,
        pid=pid,
    )


def loads_of(said: Said) -> list[Load]:
    """A run per number of clients, or per rate; raises OptionInvalid."""
    if said.clients and said.rate:
        told = "Either --clients (closed loop) or --rate (open loop); they measure different things."
        raise OptionInvalid(told, param="rate")
    if said.seconds is not None and said.requests is not None:
        raise OptionInvalid("Either --seconds or --requests says when a run ends.", param="requests")
    seconds = None if said.requests is not None else said.seconds or _DEFAULT_S
    rates = _numbers(said.rate, float, "rate", 0.001, 100_000.0)
    numbers = _numbers(said.clients or "1", int, "clients", 1, MAX_CONNECTIONS)
    base = Load(seconds=seconds, requests=said.requests or 0, warm_up_s=said.warm_up_s, seed=said.seed)
    if rates:
        return [replace(base, demand=Demand(rate_hz, said.arrivals)) for rate_hz in rates]
    return [replace(base, clients=count) for count in numbers]


def _fields(said: Said, clip: Clip) -> Fields:
    pairs = said.pairs()
    if not said.say_language or clip.language is None:
        return pairs
    name = "language" if said.server == "voxgate" else "lang"
    return [*((other, value) for other, value in pairs if other != name), (name, clip.language)]


def _pair(text: str, separator: str, param: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise OptionInvalid(f"--{param} {text!r} should look like name{separator}value.", param=param)
    return name.strip(), value.strip()


def _numbers(text: str | None, kind: Callable[[str], Number], param: str, low: Number, high: Number) -> list[Number]:
    if text is None:
        return []
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError as exc:
        raise OptionInvalid(f"--{param} {text!r}: numbers, with commas between them, are wanted.", param=param) from exc
    if not all(low <= number <= high for number in numbers):
        raise OptionInvalid(f"--{param} {text!r}: allowed is {low:g} to {high:g}.", param=param)
    return numbers
