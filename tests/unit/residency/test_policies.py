"""What a resident is worth under each policy."""

from itertools import pairwise

from model_store.residency.devices import Device
from model_store.residency.ledger import Resident
from model_store.residency.policies import CostAware, Policy, Recency, chosen
from model_store.residency.settings import ResidencySettings

CAPACITY = 40


def resident(name: str, size: int = 10, load_s: float = 1.0) -> Resident:
    return Resident(ord(name), name, size, loaded_at_s=load_s)


def use(policy: Policy, sequence: str, *residents: Resident) -> None:
    """The residents are used in the order of their names in `sequence`."""
    by_name = {each.version: each for each in residents}
    for name in sequence:
        by_name[name].last_use += 1 + max(each.last_use for each in residents)
        policy.used(by_name[name])


def order(policy: Policy, *residents: Resident) -> str:
    """Who goes first, second, ..."""
    return "".join(each.version for each in sorted(residents, key=policy.worth))


def test_recency_least_recently_used_goes_first() -> None:
    a, b, c = (resident(name) for name in "abc")
    it = Recency()
    use(it, "aaabcb", a, b, c)
    assert order(it, a, b, c) == "acb"


def test_cost_aware_frequent_stay_though_others_were_used_since() -> None:
    a, b, c = (resident(name) for name in "abc")
    it = CostAware(CAPACITY)
    use(it, "aaaabbc", a, b, c)
    assert order(it, a, b, c) == "cba"


def test_cost_aware_equally_popular_the_cheapest_per_byte_goes_first() -> None:
    small, large, slow = resident("s", size=5), resident("l", size=20), resident("w", size=20, load_s=8.0)
    it = CostAware(CAPACITY)
    use(it, "slw" * 5, small, large, slow)
    assert order(it, small, large, slow) == "lsw"


def test_cost_aware_old_popularity_fades() -> None:
    a, b = resident("a"), resident("b")
    it = CostAware(CAPACITY)
    use(it, "a" * 20 + "b" * 10, a, b)
    assert order(it, a, b) == "ba"
    use(it, "b" * 200, a, b)
    assert order(it, a, b) == "ab"


def test_cost_aware_remembers_versions_that_were_away() -> None:
    a, b, again = resident("a"), resident("b"), resident("a")
    it = CostAware(CAPACITY)
    use(it, "aaab", a, b)
    use(it, "a", again)
    assert order(it, again, b) == "ba"


def test_cost_aware_follows_recency_while_that_does_better() -> None:
    """Rows of uses of one model after the other: what was popular is never asked for again."""
    residents = {name: resident(name) for name in map(chr, range(ord("a"), ord("z") + 1))}
    it = CostAware(capacity_bytes=20)  # room for two
    for first, second in pairwise("abcdefghijklmnopqrst"):
        use(it, (first + second) * 10, *residents.values())
    use(it, "y" * 30 + "z", *residents.values())
    assert order(it, residents["y"], residents["z"]) == "yz"


def test_chosen_takes_the_policy_that_the_settings_name() -> None:
    devices = (Device("gpu:0", "gpu", "", 10), Device("gpu:1", "gpu", "", 20), Device("cpu", "cpu", "", 40))
    assert isinstance(chosen(ResidencySettings(), devices), Recency)
    assert isinstance(chosen(ResidencySettings(policy="cost"), devices), CostAware)
