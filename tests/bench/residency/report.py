"""The table of every trace under every policy, and the picture of what more memory buys."""

import statistics
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.markdown import markdown_table
from tests.bench.residency.quality import Comparison, compared
from tests.bench.residency.replay import NAMES, replay
from tests.bench.residency.rivals import least_cold_s
from tests.bench.residency.traces import TRACES, Trace, scan, sessions, shifting, steady

SEEDS: Final = range(1000, 1020)  # none that the policy was tuned on
PICTURE: Final = Path(__file__).parents[1] / "residency.png"
_DRAWN: Final = (steady, shifting, scan, sessions)
_BUDGETS: Final = (0.15, 0.2, 0.3, 0.45, 0.65, 0.85)
_COLOURS: Final = {
    "lru": "#888888",
    "cost": "#c0392b",
    "gdsf": "#e6a23c",
    "popularity": "#2c7fb8",
    "foresight": "#1b9e77",
}


def main(seeds: Iterable[int] = SEEDS) -> None:
    """Print the table, draw the picture."""
    seeds = list(seeds)
    with ProcessPoolExecutor() as pool:
        compare = partial(compared, seeds=seeds, others=NAMES[2:])
        print(table(list(pool.map(compare, TRACES))))
    print(f"Means over {len(seeds)} seeds that nothing was tuned on; `lru` in seconds of loading, the rest over it.")
    draw(PICTURE, seeds[0])


def table(comparisons: list[Comparison]) -> str:
    """Cold seconds over those of LRU, and hit ratios, as Markdown."""
    heads = ["trace", "lru s", *NAMES[1:], "bound", "cost at worst", "gap closed", "hits: lru", "cost", "popularity"]
    return markdown_table(heads, map(row, comparisons)) + "\n"


def row(one: Comparison) -> list[str]:
    """One line of the table."""
    lru_s = statistics.mean(outcome.cold_s for outcome in one.outcomes["lru"])
    ratios = [statistics.mean(one.to_lru(policy)) for policy in NAMES[1:]]
    outcomes = (one.outcomes[name] for name in ("lru", "cost", "popularity"))
    hits = [statistics.mean(outcome.hit_ratio for outcome in some) for some in outcomes]
    # Where no model is more popular than others there is nothing to know, and no gap to close.
    gap = f"{one.gap_closed:.0%}" if statistics.mean(one.to_lru("popularity")) < 0.95 else ""
    cells = [*(f"{ratio:.3f}" for ratio in (*ratios, one.bound_to_lru, max(one.cost_to_lru)))]
    return [one.name, f"{lru_s:.0f}", *cells, gap, *(f"{ratio:.1%}" for ratio in hits)]


def draw(file: Path, seed: int) -> None:
    """Hit ratio and cold seconds against the budget, a column per trace."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, len(_DRAWN), figsize=(15, 7), sharex=True)
    for column, make in enumerate(_DRAWN):
        trace = make(seed)
        _column(panels[0][column], panels[1][column], trace)
    panels[0][0].set_ylabel("requests that found their model loaded")
    panels[1][0].set_ylabel("seconds of loading per request")
    panels[0][0].legend(frameon=False, fontsize=9)
    figure.suptitle("Residency: what a budget buys under each policy (simulator, 40 models, 3,000 requests, one seed)")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def _column(hits: object, cold: object, trace: Trace) -> None:
    whole = sum(model.size_bytes for model in trace.models)
    budgets = [int(whole * share) for share in _BUDGETS]
    x = [share * 100 for share in _BUDGETS]
    for name in NAMES:
        outcomes = [replay(trace, name, budget) for budget in budgets]
        width = 2.4 if name == "cost" else 1.4
        dashes, layer = ("--", 9) if name == "lru" else ("-", 2)  # else it would hide behind its equals
        style = {"label": name, "color": _COLOURS[name], "linewidth": width, "linestyle": dashes, "zorder": layer}
        style |= {"marker": "o", "markersize": 3}
        hits.plot(x, [outcome.hit_ratio for outcome in outcomes], **style)  # type: ignore[attr-defined]
        cold.plot(x, [outcome.cold_s / len(trace.requests) for outcome in outcomes], **style)  # type: ignore[attr-defined]
    bound = [least_cold_s(trace, budget) / len(trace.requests) for budget in budgets]
    cold.plot(x, bound, "k:", linewidth=1, label="bound")  # type: ignore[attr-defined]
    hits.set_title(trace.name)  # type: ignore[attr-defined]
    hits.set_ylim(0, 1)  # type: ignore[attr-defined]
    cold.set_ylim(bottom=0)  # type: ignore[attr-defined]
    cold.set_xlabel("budget, % of all models")  # type: ignore[attr-defined]
    if trace.name == "zipf":
        cold.legend(frameon=False, fontsize=9)  # type: ignore[attr-defined]
