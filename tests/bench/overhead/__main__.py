"""`python -m tests.bench.overhead`: what the gateway adds to a predictor that answers at once; prints a table.

`python -m tests.bench.overhead batching`: what batching costs a single client; prints a table.
"""

import argparse
from collections.abc import Callable

from tests.bench.overhead import batching, echoed

_BENCHES: dict[str, Callable[[], None]] = {"echoed": echoed.main, "batching": batching.main}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overhead", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_BENCHES, default="echoed")
    _BENCHES[parser.parse_args().what]()
