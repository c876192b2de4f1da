"""The latency curve: what is fitted, what a few slow batches change, and what follows for sizes."""

import random

import pytest

from gateway.dispatch.curve import Curve

LENGTHS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)


def curve(per_second: float, fixed_s: float, batches: int = 50, slow: int = 0, spread: float = 0.05) -> Curve:
    chance, it = random.Random(7), Curve()
    for number in range(batches):
        padded_s = chance.choice(LENGTHS)
        seconds = (per_second * padded_s + fixed_s) * chance.gauss(1.0, spread)
        it.add(padded_s, seconds * (10 if number < slow else 1))
    return it


@pytest.mark.parametrize(("per_second", "fixed_s"), [(0.008, 0.005), (0.035, 0.015), (0.0005, 0.02), (0.03, 0.0)])
def test_curve_is_found_among_noise(per_second: float, fixed_s: float) -> None:
    it = curve(per_second, fixed_s)
    for padded_s in LENGTHS:
        assert it.predicted_s(padded_s) == pytest.approx(per_second * padded_s + fixed_s, rel=0.15)


@pytest.mark.parametrize("slow", [1, 6])
def test_curve_a_few_slow_batches_change_little(slow: int) -> None:
    it = curve(0.035, 0.015, slow=slow)
    assert it.predicted_s(8.0) == pytest.approx(0.295, rel=0.15)


def test_curve_forgets_what_is_long_past() -> None:
    it = curve(0.5, 0.5)
    for padded_s in LENGTHS * 6:
        it.add(padded_s, 0.01 * padded_s + 0.01)
    assert it.predicted_s(10.0) == pytest.approx(0.11)


def test_curve_of_one_cold_batch_is_set_right_by_the_next() -> None:
    it = Curve()
    it.add(1.0, 3.0)
    for _ in range(3):
        it.add(1.0, 0.05)
    assert it.predicted_s(1.0) == pytest.approx(0.05, rel=0.01)


def test_curve_batches_of_one_length_say_half_and_half_so_that_other_sizes_are_tried() -> None:
    it = curve(0.0, 0.1, spread=0.0, batches=0)
    for _ in range(50):
        it.add(1.0, 0.1)
    assert (it.per_second, it.fixed_s) == (pytest.approx(0.05), pytest.approx(0.05))
    assert it.quickest_s(2.0) >= 2.0


def test_curve_never_falls() -> None:
    it = Curve()
    for padded_s in LENGTHS * 3:
        it.add(padded_s, 1.0 / padded_s)
    assert it.per_second == 0.0
    assert it.fixed_s > 0.0
    assert it.worth_s == float("inf")


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_curve_preferred_batch_spends_its_share_on_the_fixed_cost(share: float) -> None:
    it = curve(0.02, 0.01, spread=0.0)
    assert it.fixed_s / it.predicted_s(it.preferred_s(share)) == pytest.approx(share)


def test_curve_is_not_believed_far_beyond_what_was_measured() -> None:
    it = curve(0.0005, 0.02, spread=0.0)
    assert it.preferred_s(0.1) == 2 * max(LENGTHS)  # by the fit alone: 360 s


def test_curve_holds_what_is_computed_in_a_time() -> None:
    it = curve(0.02, 0.01, spread=0.0)
    assert it.predicted_s(it.holds_s(0.5)) == pytest.approx(0.5)
    assert it.holds_s(0.001) == 0.0


@pytest.mark.parametrize("jobs", [1, 2, 4, 8, 32, 128])
@pytest.mark.parametrize("fixed_s", [0.002, 0.01, 0.1])
def test_curve_quickest_batch_has_about_the_least_wait_of_all_sizes(jobs: int, fixed_s: float) -> None:
    """Against every size there is, by counting: jobs of one second at 10 ms."""
    it = curve(0.01, fixed_s, spread=0.0)

    def mean_wait_s(size: int) -> float:
        ends_s = now_s = 0.0
        for first in range(0, jobs, size):
            n = min(size, jobs - first)
            now_s += 0.01 * n + fixed_s
            ends_s += n * now_s
        return ends_s / jobs

    chosen = min(jobs, max(1, int(it.quickest_s(float(jobs)) + 1e-9)))
    assert mean_wait_s(chosen) <= 1.1 * min(map(mean_wait_s, range(1, jobs + 1)))
