"""The bars of residency on real gateways, with fewer loads, cycles and kills than tests/soak has."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.integration.conftest import LANGUAGES
from tests.integration.drills import MIB, SHORT, asks, cycled, damaged, halted, inside, sent, together, traffic, worked
from tests.integration.killing import ENVIRON, Killer
from tests.integration.live import Gateway, until

StartGateway = Callable[..., Gateway]
FIRST, *OTHERS = asks(LANGUAGES)
ONE_LOAD = {"VOXGATE_RESIDENCY_MAX_LOADS": "1"}


def loads(gateway: Gateway, **labels: str) -> float:
    return gateway.metric("voxgate_model_loads_total", **labels)


def stops(gateway: Gateway) -> float:
    """Evictions, but for processes that ended by themselves."""
    total = gateway.metric("voxgate_model_evictions_total")
    return total - gateway.metric("voxgate_model_evictions_total", reason="crash")


def test_forty_requests_at_once_for_four_cold_models_make_four_loads(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ONE_LOAD).started()
    wanted = OTHERS[:4] * 10
    with ThreadPoolExecutor(1) as caller:
        with halted(gateway, FIRST):  # so that all are there before any of them is helped
            answers = caller.submit(together, gateway, wanted)
            inside(gateway, len(wanted) + 1)
            assert not loads(gateway)
        languages = [answer.raise_for_status().json()["voxgate"]["language"] for answer in answers.result()]
    assert languages == [ask["language"] for ask in wanted]
    assert loads(gateway) == loads(gateway, outcome="loaded") == 1 + 4


def test_requests_whose_clients_have_gone_load_nothing(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ONE_LOAD).started()
    with halted(gateway, FIRST):
        callers = sent(gateway, OTHERS * 4)
        inside(gateway, len(callers) + 1)
        for caller in callers:
            caller.close()
        inside(gateway, 1)
    assert loads(gateway) == loads(gateway, outcome="loaded") == 1
    assert gateway.transcribe(SHORT, **OTHERS[0]).is_success  # and nothing is left in their places
    assert loads(gateway) == 2


def test_cycles_of_load_infer_and_evict_leave_nothing_behind(new_gateway: StartGateway) -> None:
    gateway = new_gateway({"VOXGATE_RESIDENCY_KEEP_ALIVE_S": "0"}).started()
    growth = cycled(gateway, asks(LANGUAGES), 8)
    assert loads(gateway) == 8
    until(lambda: gateway.metric("voxgate_model_evictions_total", reason="idle") == 8, "the last eviction")
    assert max(growth.since(4)) < 8 * MIB


def test_worker_under_traffic_of_many_lengths_does_not_grow(new_gateway: StartGateway) -> None:
    taken = worked(new_gateway().started(), FIRST, 120, every=5)
    assert max(taken[12:]) < 1.2 * max(taken[:12])


def test_workers_killed_at_any_moment_cost_nobody_an_answer(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ENVIRON).started()
    killer = Killer(gateway, random.Random(10))
    with traffic(gateway, [FIRST]) as others:
        until(lambda: others, "an answer")
        kills = list(killer.round("yue"))
    assert [kill.moment for kill in kills] == ["load", "infer", "evict"]
    assert all(answer.is_success for answer in others)


def test_model_that_is_damaged_trips_its_breaker_and_evicts_nobody(new_gateway: StartGateway) -> None:
    gateway = new_gateway(
        {
            "VOXGATE_RESIDENCY_FAILURE_BACKOFF_S": "0.1",
            "VOXGATE_RESIDENCY_FAILURE_BACKOFF_MAX_S": "0.5",
            "VOXGATE_RESIDENCY_MAX_WAIT_S": "1",
        }
    ).started()
    assert gateway.transcribe(SHORT, **FIRST).is_success
    before = gateway.worker()
    damaged(gateway, "fr")

    def is_open() -> bool:
        answer = gateway.transcribe(SHORT, language="fr")
        assert answer.status_code >= 500
        return gateway.metric("voxgate_breakers", state="open") == 1

    until(is_open, "an open breaker")
    assert loads(gateway, outcome="failed", model="fr-general") >= 3
    assert stops(gateway) == 0
    assert gateway.transcribe(SHORT, **FIRST).is_success
    assert gateway.worker().pid == before.pid


def test_resident_model_answers_while_the_load_of_another_stands_still(new_gateway: StartGateway) -> None:
    gateway = new_gateway(ONE_LOAD).started()
    assert gateway.transcribe(SHORT, **FIRST).is_success
    with halted(gateway, OTHERS[0]):
        assert all(gateway.transcribe(SHORT, **FIRST).is_success for _ in range(5))
        assert loads(gateway) == 1
