"""`python -m model_store.starter {zh,yue,en,lid,samples} --work DIR`: make the bundled models again."""

from __future__ import annotations

import argparse
from pathlib import Path

from model_store.starter import recipe, samples
from model_store.starter.texts.languages import GRAMMARS

HERE = Path(__file__).parent


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m model_store.starter", description=__doc__)
    parser.add_argument("what", choices=[*GRAMMARS, "lid", "samples"], help="a model, or the samples, which need all")
    parser.add_argument("--work", type=Path, required=True, help="where audio, features and checkpoints are kept")
    parser.add_argument("--out", type=Path, default=HERE / "bundle", help="the bundle; samples go beside it")
    arguments = parser.parse_args()
    if arguments.what == "samples":
        samples.write(arguments.work, arguments.out, arguments.out.parent / "samples")
    else:
        recipe.build(arguments.what, arguments.work, arguments.out)


if __name__ == "__main__":
    main()
