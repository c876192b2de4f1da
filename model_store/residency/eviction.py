"""Which residents go when a newcomer needs room. Pure: reads, decides, changes nothing."""

from collections.abc import Iterable

from model_store.residency.ledger import Resident


def victims(residents: Iterable[Resident], needed_bytes: int) -> list[Resident] | None:
    """The fewest bytes' worth of evictable residents that free `needed_bytes`, least recently used first.

    `residents` come in the order in which they should go. Greedy in that order, then whoever turned out not to be
    needed is let off, the most recently used first. None when all that may go is not enough: then nobody goes.
    """
    chosen: list[Resident] = []
    freed = 0
    for resident in residents:
        if freed >= needed_bytes:
            break
        if resident.is_evictable:
            chosen.append(resident)
            freed += resident.charged_bytes
    if freed < needed_bytes:
        return None
    for resident in reversed(list(chosen)):
        if freed - resident.charged_bytes >= needed_bytes:
            chosen.remove(resident)
            freed -= resident.charged_bytes
    return chosen
