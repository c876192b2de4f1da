"""`python -m tests.bench.dispatch`: crowds, floods and recordings before workers of three kinds; prints a table."""

import statistics

from tests.bench.dispatch import drills
from tests.bench.dispatch.simulator import FULL, GPU, STARTER, Cost
from tests.bench.markdown import markdown_table

_COSTS = {"starter model": STARTER, "full-size model": FULL, "large GPU": GPU}
_SEED = 1000


def main() -> None:
    """Print the table."""
    rows = {name: figures(cost) for name, cost in _COSTS.items()}
    heads = ["figure", *rows]
    print(markdown_table(heads, ([what, *(row[what] for row in rows.values())] for what in rows[heads[1]])))


def figures(cost: Cost) -> dict[str, str]:
    """Of one kind of worker."""
    calm_s, flooded_s = drills.flooded(cost, [_SEED], 4000, 0.8)
    told = [told.ratio for told in drills.told(cost, _SEED, load=0.5)]
    busy_s, idle_s, recorded = drills.beside_recordings(cost, _SEED, 300)
    crowd, one_by_one = (
        statistics.median(drills.crowd(cost, _SEED, 8, settings).latencies()) for settings in (None, drills.UNBATCHED)
    )
    return {
        "others' p95, nobody floods": f"{calm_s * 1000:.0f} ms",
        "others' p95, one asks for 100 shares": f"{flooded_s * 1000:.0f} ms",
        "Jain's index of seconds, all ask for more": f"{drills.saturated(cost, _SEED, 3000):.4f}",
        "Retry-After, really over told": f"{min(told):.2f} to {max(told):.2f}",
        "one client, p50": f"{idle_s * 1000:.0f} ms",
        "the same beside three long recordings, p95": f"{busy_s * 1000:.0f} ms",
        "padding of those": f"{recorded.padding:.1%}",
        "eight clients, p50": f"{crowd * 1000:.0f} ms",
        "eight clients one by one, p50": f"{one_by_one * 1000:.0f} ms",
    }


if __name__ == "__main__":
    main()
