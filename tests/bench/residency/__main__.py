"""`python -m tests.bench.residency`: traces through policies; prints a table, draws tests/bench/residency.png.

`python -m tests.bench.residency live`: real versions in a real budget; prints a table, draws tests/bench/memory.png.

`python -m tests.bench.residency copies`: a hot model on one device and on more, in the simulator; prints a table.
"""

import argparse
from collections.abc import Callable

from tests.bench.residency import copies, live, report

_BENCHES: dict[str, Callable[[], None]] = {"simulated": report.main, "live": live.main, "copies": copies.main}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.residency", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_BENCHES, default="simulated")
    _BENCHES[parser.parse_args().what]()
