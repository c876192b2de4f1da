"""`python -m model_store.starter NAME --work DIR`: make a bundled model again, or the samples.

`python -m model_store.starter frozen --out DIR` speaks the frozen test sets again; only new sets are to be frozen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from model_store.starter import frozen
from model_store.starter.texts.languages import GRAMMARS

HERE = Path(__file__).parent


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m model_store.starter", description=__doc__)
    what = [*GRAMMARS, "lid", "samples", "frozen"]
    parser.add_argument("what", choices=what, help="a model; the samples, which need all; or the frozen test sets")
    parser.add_argument("--work", type=Path, help="where audio, features and checkpoints are kept")
    parser.add_argument("--out", type=Path, default=HERE / "bundle", help="the bundle; samples go beside it")
    parser.add_argument("--frozen", type=Path, help="the frozen test sets, for the figures in the card")
    arguments = parser.parse_args()
    if arguments.what == "frozen":
        frozen.build(arguments.out)
        return
    if arguments.work is None:
        parser.error("--work is needed to make a model or the samples")
    # Both need PyTorch, which the frozen sets do without.
    from model_store.starter import recipe, samples

    if arguments.what == "samples":
        samples.write(arguments.work, arguments.out, arguments.out.parent / "samples")
    else:
        recipe.build(arguments.what, arguments.work, arguments.out, arguments.frozen)


if __name__ == "__main__":
    main()
