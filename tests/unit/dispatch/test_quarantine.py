"""What is remembered of inputs that kill workers, and what is not."""

import numpy as np
import pytest

from gateway.dispatch import metrics
from gateway.dispatch.quarantine import Quarantine
from gateway.dispatch.settings import DispatchSettings
from model_store.runtime.seam import Pcm


def pcm(value: float) -> Pcm:
    return np.full(16_000, value, np.float32)


def test_quarantine_keeps_no_audio() -> None:
    it = Quarantine(DispatchSettings())
    it.add("v", pcm(0.5))
    kept = [(key, value) for key, value in it._caught.items()]
    assert [(len(key), type(value)) for key, value in kept] == [(16, float)]
    assert not [value for value in vars(it).values() if isinstance(value, np.ndarray)]


def test_quarantine_that_is_full_forgets_the_oldest() -> None:
    it = Quarantine(DispatchSettings(max_quarantined=2))
    for value in (1, 2, 3):
        it.add("v", pcm(value))
    assert [it.refusal("v", pcm(value)) is None for value in (1, 2, 3)] == [True, False, False]


def test_quarantine_counts_inputs_and_refusals() -> None:
    counters = (metrics.QUARANTINED, metrics.QUARANTINE_REFUSALS)
    before = [counter._value.get() for counter in counters]
    it = Quarantine(DispatchSettings())
    it.add("v", pcm(1))
    it.refusal("v", pcm(1))
    it.refusal("v", pcm(1))
    it.refusal("v", pcm(2))
    assert [counter._value.get() - was for counter, was in zip(counters, before, strict=True)] == [1, 2]


def test_quarantine_tells_the_time_that_is_left() -> None:
    now_s = 0.0
    it = Quarantine(DispatchSettings(quarantine_s=100.0), lambda: now_s)
    first = it.add("v", pcm(1)).details["quarantined_until"]
    now_s = 50.0
    again = it.refusal("v", pcm(1))
    assert again is not None
    assert first > again.details["quarantined_until"]  # this test took no time, and the clock says 50 s


@pytest.mark.parametrize("odd", [pcm(1)[::2], np.zeros(0, np.float32)])
def test_quarantine_knows_an_input_however_it_lies_in_memory(odd: Pcm) -> None:
    it = Quarantine(DispatchSettings())
    it.add("v", odd)
    assert it.refusal("v", odd.copy()) is not None
