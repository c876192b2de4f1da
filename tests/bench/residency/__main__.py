"""`python -m tests.bench.residency`: traces through policies; prints a table, draws tests/bench/residency.png.

`python -m tests.bench.residency live`: real versions in a real budget; prints a table, draws tests/bench/memory.png.
"""

import argparse
from collections.abc import Callable

from tests.bench.residency import live, report

_BENCHES: dict[str, Callable[[], None]] = {"simulated": report.main, "live": live.main}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.residency", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_BENCHES, default="simulated")
    _BENCHES[parser.parse_args().what]()
