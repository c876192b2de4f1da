"""Loading: the requests before the memory is told, what a cold start is made of, and the verdicts."""

import numpy as np
import pytest

from model_store.predictors.predictor import PCM_RATE_HZ
from tests.bench.loading.cold import Cold, First, verdicts
from tests.bench.loading.plain import Made
from tests.bench.loading.requests import LONGEST_S, MOST, batches
from tests.bench.loading.resident import Plain, Resident, verdict
from tests.bench.side.ways import Way

PADDLE, OPENVINO = Way("paddle", "bf16"), Way("openvino", "bf16")


def cold(way: Way, wall_s: list[float], bare: list[Made] | None = None) -> Cold:
    return Cold(way, [First(one, 0.1, 0.3, 0.1, 0.2) for one in wall_s], bare or [], 0.3)


def test_batches_are_a_hundred_clips_of_mixed_length_and_the_same_every_time() -> None:
    found, again = list(batches()), list(batches())
    lengths = [len(clip) / PCM_RATE_HZ for batch in found for clip in batch]
    assert len(lengths) == 100
    assert {len(batch) for batch in found} == set(range(1, MOST + 1))
    assert max(lengths) <= LONGEST_S
    assert min(lengths) < 2 < 8 < max(lengths)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_equal(one, other)


@pytest.mark.parametrize(("private_bytes", "holds"), [(750, True), (751, False)])
def test_resident_verdict_holds_up_to_three_quarters_of_the_plain_process(private_bytes: int, holds: bool) -> None:
    one = Resident(PADDLE, 500, private_bytes, 600, 900)
    assert verdict(one, Plain("bf16", 200, 1000, 1200)).endswith(": holds.") is holds


def test_first_rest_is_what_no_stage_took() -> None:
    assert First(1.0, 0.1, 0.3, 0.1, 0.2).rest_s == pytest.approx(0.3)


@pytest.mark.parametrize(("wall_s", "hold"), [(1.2, [True, True]), (1.21, [True, False])])
def test_cold_verdicts_compare_paddle_with_the_bare_script(wall_s: float, hold: list[bool]) -> None:
    bare = [Made(0.6, 0.4, 0), Made(0.9, 0.9, 0), Made(0.4, 0.5, 0)]
    colds = [cold(PADDLE, [wall_s, 9.0, wall_s], bare), cold(OPENVINO, [1.0, 0.9, 1.1])]
    assert [line.endswith(": holds.") for line in verdicts(colds)] == hold


def test_cold_verdict_of_the_best_engine_is_of_its_median() -> None:
    best, _ = verdicts([cold(PADDLE, [1.3], [Made(1.0, 0.4, 0)]), cold(OPENVINO, [0.9, 1.1, 1.2])])
    assert best.startswith("9. OpenVINO bf16")
    assert not best.endswith(": holds.")
