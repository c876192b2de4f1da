"""What copies buy: one hot model whose segments come faster than a device computes them, on one device and on more."""

from typing import Final

from tests.bench.markdown import markdown_table
from tests.bench.residency.drills import HotModel

_FOR_S: Final = 120.0
_STEADY_FROM_S: Final = 90.0
_LOADS_PER_S: Final = (10.0, 25.0, 100.0)


def main(devices: int = 4) -> None:
    """Print the table: segments a second, how long they took, and how many were refused, by predictors allowed."""
    heads = ["segments come, 1/s", "predictors", "served, 1/s", "median s", "refused"]
    rows = (_row(per_s, predictors, devices) for per_s in _LOADS_PER_S for predictors in range(1, devices + 1))
    print(markdown_table(heads, rows))
    print(f"On {devices} devices; served and median over the last {_FOR_S - _STEADY_FROM_S:.0f} of {_FOR_S:.0f} s.")


def _row(per_s: float, max_copies: int, devices: int) -> list[str]:
    it = HotModel(devices, max_copies, per_s)
    it.run(_FOR_S)
    served = f"{it.per_s(_STEADY_FROM_S, _FOR_S):.1f}"
    return [f"{per_s:.0f}", f"at most {max_copies}", served, f"{it.median_s(_STEADY_FROM_S):.2f}", str(it.refused)]
