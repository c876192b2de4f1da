"""Which residents go: checked against every subset of small examples."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from model_store.residency.eviction import victims
from model_store.residency.ledger import Phase, Resident


def residents(sizes: list[tuple[int, bool]]) -> list[Resident]:
    return [
        Resident(i, f"v{i}", size, Phase.READY, leases=0 if is_free else 1) for i, (size, is_free) in enumerate(sizes)
    ]


def total(chosen: list[Resident]) -> int:
    return sum(resident.charged_bytes for resident in chosen)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=8), st.integers(1, 200))
def test_victims_are_enough_evictable_and_none_could_be_spared(sizes: list[tuple[int, bool]], needed: int) -> None:
    standing = residents(sizes)
    evictable = [resident for resident in standing if resident.is_evictable]
    is_possible = any(
        total(list(some)) >= needed for n in range(len(evictable) + 1) for some in combinations(evictable, n)
    )
    chosen = victims(standing, needed)
    assert (chosen is not None) == is_possible
    if chosen is not None:
        assert all(resident.is_evictable for resident in chosen)
        assert total(chosen) >= needed
        assert all(total(chosen) - resident.charged_bytes < needed for resident in chosen)


def test_victims_older_ones_go_before_younger_ones_of_the_same_size() -> None:
    chosen = victims(residents([(10, True), (10, True), (10, True)]), 20)
    assert [resident.id for resident in chosen or []] == [0, 1]


def test_victims_loading_or_stopping_ones_are_never_chosen() -> None:
    standing = residents([(10, True), (10, True)])
    standing[0].phase, standing[1].phase = Phase.LOADING, Phase.STOPPING
    assert victims(standing, 5) is None
    assert victims(standing, 0) == []
