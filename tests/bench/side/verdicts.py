"""Whether the bars of speed are met, in words; pure."""

from collections.abc import Iterator
from typing import Final

from tests.bench.side.turns import OneClient

ADDED_MS: Final = 8.0
TIMES_FASTER: Final = 12.0
SHARE: Final = 0.75
TIMES_MORE: Final = 10.0
BATCHING: Final = 1.05


def on_one_client(where: str, taken: OneClient, theirs_ms: float | None) -> Iterator[str]:
    """The p50 of one client against the bound, and against PaddleSpeech's server where it was measured."""
    added_ms = taken.batching_ms - taken.bound_ms
    told = f"1. One client, {where}: p50 {taken.batching_ms:.0f} ms, {added_ms:+.1f} ms to the bound's"
    yield f"{told} {taken.bound_ms:.0f} ms; the bar is {ADDED_MS:+g} ms: {holds(added_ms <= ADDED_MS)}."
    if theirs_ms is not None:
        times = theirs_ms / taken.batching_ms
        told = f"1. One client, {where}: {times:.1f} times below paddlespeech_server's p50 of {theirs_ms:.0f} ms"
        yield f"{told}; the bar is {TIMES_FASTER:g}: {holds(times >= TIMES_FASTER)}."


def on_a_crowd(where: str, clips_per_s: float, bound_per_s: float, theirs_per_s: float | None) -> Iterator[str]:
    """The throughput of 16 clients, likewise."""
    share = clips_per_s / bound_per_s
    told = f"2. 16 clients, {where}: {clips_per_s:.2f} clips/s, {share:.2f} of the bound's best {bound_per_s:.2f}"
    yield f"{told}; the bar is {SHARE:g}: {holds(share >= SHARE)}."
    if theirs_per_s is not None:
        times = clips_per_s / theirs_per_s
        told = f"2. 16 clients, {where}: {times:.1f} times paddlespeech_server's {theirs_per_s:.2f} clips/s"
        yield f"{told}; the bar is {TIMES_MORE:g}: {holds(times >= TIMES_MORE)}."


def on_batching(where: str, taken: OneClient) -> str:
    """Whether a single client pays for the batches of others."""
    ratio = taken.batching_ms / taken.one_by_one_ms
    told = f"4. One client, {where}: p50 {taken.batching_ms:.1f} ms with batching, {taken.one_by_one_ms:.1f} ms without"
    return f"{told}, {ratio:.3f} of it; the bar is {BATCHING:g}: {holds(ratio <= BATCHING)}."


def holds(is_met: bool) -> str:
    """In words."""
    return "holds" if is_met else "does not hold"
