"""The bars of residency at full length with real workers; each prints its figure."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from model_store.residency.settings import ResidencySettings
from tests.bench.residency.live import CLIPS, NAMES, Sizes, mixed, told
from tests.integration.conftest import LANGUAGES
from tests.integration.drills import (
    MIB,
    SHORT,
    asks,
    cycled,
    halted,
    inside,
    loading,
    most_written_bytes,
    residents,
    sent,
    together,
    traffic,
    worked,
    written_bytes,
)
from tests.integration.killing import ENVIRON, Killer, Recovery
from tests.integration.live import Gateway, copied, cpu_s, sampled, until

StartGateway = Callable[..., Gateway]
ONE_LOAD = {"VOXGATE_RESIDENCY_MAX_LOADS": "1"}
KILLS = 100

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def say(told: str) -> None:
    """A figure, and how busy the machine is otherwise."""
    print(f"\n[load {psutil.getloadavg()[0]:.1f}] {told}")


def loads(gateway: Gateway, **labels: str) -> int:
    return int(gateway.metric("voxgate_model_loads_total", **labels))


def preloaded(new_gateway: StartGateway, data_dir: Path, *names: str) -> Gateway:
    """A gateway with these models loaded, on data of its own, which has answered nobody yet."""
    own = copied(data_dir, data_dir.with_name(f"{data_dir.name}-{time.monotonic_ns()}"))
    gateway = new_gateway({"VOXGATE_RESIDENCY_PRELOAD": ",".join(names)}, data_dir=own).started()
    until(lambda: gateway.metric("voxgate_residents", phase="ready") == len(names), "preloaded models", 120.0)
    return gateway


def took_s(gateway: Gateway, name: str) -> float:
    """One request in a shape that the warm-up covers, as its client sees it."""
    began_s = time.perf_counter()
    gateway.transcribe(SHORT, model=name).raise_for_status()
    return time.perf_counter() - began_s


def test_bar_1_two_hundred_requests_at_once_for_five_cold_models_make_five_loads(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ONE_LOAD).started()
    first, *others = asks(LANGUAGES)
    wanted = others * 40
    with ThreadPoolExecutor(1) as caller:
        with halted(gateway, first):  # so that all are there before any of them is helped
            answers = caller.submit(together, gateway, wanted)
            inside(gateway, len(wanted) + 1)
            assert not loads(gateway)
        statuses = [answer.status_code for answer in answers.result()]
    made, errors = loads(gateway) - 1, sum(status != 200 for status in statuses)
    say(f"bar 1: {len(statuses)} requests at once over 5 cold models: {made} loads, {errors} errors")
    assert not errors
    assert made == 5


def test_bar_1_two_hundred_requests_whose_clients_have_gone_make_no_load(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ONE_LOAD).started()
    first, *others = asks(LANGUAGES)
    with halted(gateway, first):
        callers = sent(gateway, others * 40)
        inside(gateway, len(callers) + 1)
        for caller in callers:
            caller.close()
        inside(gateway, 1)
    made = loads(gateway) - 1
    say(f"bar 1: {len(callers)} requests over 5 cold models whose clients have all gone: {made} loads")
    assert made == 0


def test_bar_4_measured_versions_in_a_budget_for_three_never_pass_it(measured: tuple[Path, Sizes]) -> None:
    data_dir, sizes = measured
    run = mixed(data_dir, sizes.budget_for(3), 300)
    say(f"bar 4: {len(run.samples)} samples of all processes\n{told(run)}")
    assert not run.errors
    assert run.most_bytes <= run.budget_bytes


def test_bar_4_first_loads_pass_the_budget_by_no_more_than_the_headroom(
    starters: Path, measured: tuple[Path, Sizes], tmp_path: Path
) -> None:
    budget = measured[1].budget_for(3)
    run = mixed(copied(starters, tmp_path / "data"), budget, 40)
    beyond = max(0, run.most_bytes - budget) / MIB
    say(f"bar 4: versions that were never measured before: {beyond:.0f} MiB beyond the budget\n{told(run)}")
    assert not run.errors
    assert run.most_bytes <= budget + ResidencySettings().cpu_headroom_bytes


def test_bar_4_what_a_version_is_charged_from_its_second_load_on_is_what_it_takes(
    new_gateway: StartGateway, starters: Path, measured: tuple[Path, Sizes], tmp_path: Path
) -> None:
    environ = {"VOXGATE_RESIDENCY_CPU_BUDGET_BYTES": str(measured[1].budget_for(1.5))}  # one at a time
    gateway = new_gateway(environ, data_dir=copied(starters, tmp_path / "data")).started()
    for name in NAMES:  # their first loads, in the same traffic
        size_errors(gateway, name)
    most, at_rest = zip(*(size_errors(gateway, name) for name in NAMES * 2), strict=True)
    p95, rest_p95 = (float(np.percentile(errors, 95)) for errors in (most, at_rest))
    assert loads(gateway) == len(NAMES) + len(most)
    say(f"bar 4: size error, p95 of {len(most)} loads: {p95:.1%} of the most that it takes, {rest_p95:.1%} of its rest")
    assert p95 <= 0.1


def size_errors(gateway: Gateway, name: str) -> tuple[float, float]:
    """How wrong the charge of a version is that is loaded: against the most that it ever takes, and what it keeps."""
    with loading(gateway, {"model": name}) as (worker, answer), sampled(lambda: most_written_bytes(worker)) as samples:
        answer.result()
        until(lambda: residents(gateway)[name]["is_warm"], "a warm worker")
        charged = int(residents(gateway)[name]["charged_bytes"])
        for clip in CLIPS:
            gateway.transcribe(clip, model=name).raise_for_status()
    rest = written_bytes(worker)
    return abs(charged / max(*samples, rest) - 1), abs(charged / rest - 1)


def test_bar_5_two_hundred_cycles_leave_gateway_and_fork_server_as_they_were(new_gateway: StartGateway) -> None:
    gateway = new_gateway({"VOXGATE_RESIDENCY_KEEP_ALIVE_S": "0"}).started()
    growth = cycled(gateway, asks(LANGUAGES), 200)
    by_gateway, by_server = growth.since(10)
    say(f"bar 5: 200 cycles: gateway {by_gateway / MIB:+.1f} MiB, fork server {by_server / MIB:+.1f} MiB after ten")
    assert loads(gateway) == 200
    assert max(by_gateway, by_server) <= 20 * MIB


def test_bar_5_thousands_of_requests_of_mixed_length_leave_a_worker_as_it_was(
    new_gateway: StartGateway, starters: Path
) -> None:
    gateway = preloaded(new_gateway, starters, NAMES[0])
    taken = worked(gateway, {"model": NAMES[0]}, 4000)
    growth, most = 200 * trend(taken[20:]), max(taken) / max(taken[:20]) - 1
    say(f"bar 5: 4,000 requests: worker {growth:+.1%} for every 2,000, and {most:+.1%} once at most")
    assert growth <= 0.05


def trend(samples: Sequence[float]) -> float:
    """What a sample has more than the one before, in shares of their median: the median of all slopes (Theil and Sen).

    What a worker holds falls by a fifth and rises again, so that any two stretches of it differ by some hundredths.
    """
    values = np.asarray(samples)
    earlier, later = np.triu_indices(len(values), 1)
    return float(np.median((values[later] - values[earlier]) / (later - earlier)) / np.median(values))


def test_bar_8_first_request_after_ready_is_as_quick_as_any(new_gateway: StartGateway, starters: Path) -> None:
    gateway = preloaded(new_gateway, starters, *NAMES)
    ratios = []
    for name in NAMES:
        first_s = took_s(gateway, name)
        ratios.append(first_s / statistics.median(took_s(gateway, name) for _ in range(30)))
    middle = statistics.median(ratios)
    say(f"bar 8: first request over the steady median: {middle:.2f} in the median of 10, {max(ratios):.2f} at worst")
    assert middle <= 1.2


def test_bar_8_resident_model_does_not_wait_for_the_load_of_another(new_gateway: StartGateway, starters: Path) -> None:
    resident, halting, *cold = NAMES
    gateway = preloaded(new_gateway, starters, resident)
    alone_s = statistics.median(took_s(gateway, resident) for _ in range(100))
    with halted(gateway, {"model": halting}):  # a load that takes for ever and computes nothing
        beside_s = statistics.median(took_s(gateway, resident) for _ in range(100))
    again_s = statistics.median(took_s(gateway, resident) for _ in range(100))
    times_s, share = beside_loads(gateway, resident, cold)
    steady_s = statistics.mean((alone_s, again_s))
    ratio, busy = beside_s / steady_s, statistics.median(times_s) / steady_s
    say(
        f"bar 8: a request to a resident model: {ratio:.2f} of its usual time beside a load that stands still; "
        f"{busy:.2f} beside one that goes on and has {share:.0%} of a core"
    )
    assert ratio <= 1.2
    assert busy <= 2.0  # a load has one thread: of the core that both want it gets every other turn


def beside_loads(gateway: Gateway, resident: str, cold: list[str]) -> tuple[list[float], float]:
    """Requests to a resident model while others load, one after the other; and the share of a core that these had."""
    runs = [beside_load(gateway, resident, name) for name in cold]
    return [one for times_s, _ in runs for one in times_s], statistics.median(share for _, share in runs)


def beside_load(gateway: Gateway, resident: str, name: str) -> tuple[list[float], float]:
    times_s, share = [], 0.0
    with loading(gateway, {"model": name}) as (worker, answer):
        began_s, before_s = time.monotonic(), cpu_s(worker)
        while not answer.done():
            times_s.append(took_s(gateway, resident))
            share = (cpu_s(worker) - before_s) / (time.monotonic() - began_s)
    return times_s, share


def test_bar_10_a_hundred_kills_cost_nobody_an_answer(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ENVIRON).started()
    killer = Killer(gateway, random.Random(10))
    first, second, *killed = LANGUAGES
    kills: list[Recovery] = []
    with traffic(gateway, asks((first, second))) as others:
        until(lambda: len(others) > 10, "answers")
        while len(kills) < KILLS:
            kills += killer.round(killed[len(kills) // 3 % len(killed)])
    failed = sum(not answer.is_success for answer in others)
    for moment in ("load", "infer", "evict"):
        beyond = [kill.beyond_s for kill in kills if kill.moment == moment]
        say(
            f"bar 10: {len(beyond)} kills in {moment}: answer after the load's time and {max(beyond):.2f} s at most, "
            f"{statistics.median(beyond):.2f} s in the median"
        )
    say(f"bar 10: {len(kills)} kills: {failed} failures among {len(others)} requests to other models")
    assert failed == 0
    assert max(kill.beyond_s for kill in kills) <= 5.0
