"""`python -m tests.bench.score MODEL --set zh`: score a model on a frozen test set, served as it is served.

MODEL is a directory of a model that can be imported, or the name of a bundled one. The error rate has its 95 %
confidence interval; the real-time factor is of one clip at a time. With `--set language` a classifier is scored on all
sets: accuracy, Mandarin against Cantonese, calibration, whole and on the first 1.5 s. With `--card` the figures go to
the model's card too, in the place of those that it had.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from model_store.artifacts.graphs import EngineName
from model_store.artifacts.store import ArtifactStore
from model_store.engines.cpu import best_cpu_precision
from model_store.importers.process import Order, import_models
from model_store.predictors.hypotheses import AsrOptions, Precision, Recognition
from model_store.predictors.load import load
from model_store.predictors.predictor import Predictor
from model_store.starter.conditions import CONDITIONS, heard_through
from model_store.starter.frozen import SETS, Clip, read_set
from model_store.starter.install import BUNDLE_DIR
from model_store.starter.scoring import Rate, error_rate
from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array
from tests.bench.language import score_language
from tests.bench.machine import machine
from tests.bench.markdown import markdown_table

FROZEN_DIR = Path(__file__).parents[1] / "data" / "frozen"
CONDITION_SEED = 4
FIGURES, REBUILDING = "## As Voxgate serves it", "## Rebuilding"
WHENCE = "`python -m tests.bench.score`, on the frozen test sets in `tests/data/frozen`:"
HEADS = ("set", "condition", "precision", "beam", "rescored", "utterances", "CER or WER (95 %)", "real-time factor")


def main() -> None:
    """Import the model into a store that is thrown away, and score it."""
    arguments = _parser().parse_args()
    source = Path(arguments.model)
    if not source.is_dir():
        source = BUNDLE_DIR / arguments.model
    print(f"{source.name} on {machine()}, {arguments.threads} threads:\n")
    with tempfile.TemporaryDirectory() as folder:
        predictors = {
            precision: served(source, Path(folder), precision, arguments.threads, arguments.engine)
            for precision in arguments.precisions
        }
        if arguments.sets == ["language"]:
            told = "\n\n".join(score_language(predictor, FROZEN_DIR) for predictor in predictors.values())
        else:
            told = markdown_table(HEADS, list(_rows(predictors, arguments)))
    print(told)
    if arguments.is_for_card:
        card = source / "README.md"
        card.write_text(with_figures(card.read_text(encoding="utf-8"), told), encoding="utf-8")


def _rows(predictors: Mapping[Precision, Predictor], arguments: argparse.Namespace) -> Iterator[list[str]]:
    options = AsrOptions(beam_size=arguments.beam, rescoring=not arguments.no_rescoring)
    for name in arguments.sets:
        clips = read(name, arguments.limit)
        for condition, (precision, predictor) in itertools.product(arguments.conditions, predictors.items()):
            rate, factor = score(predictor, clips, condition, options)
            how = precision if arguments.engine == "paddle" else f"{arguments.engine} {precision}"
            said = (name, condition, how, options.beam_size, _is_rescored(predictor, options), len(clips), rate)
            yield [*map(str, said), f"{factor:.4f}"]
            print(*said, f"{factor:.4f}", file=sys.stderr, flush=True)


def with_figures(card: str, table: str) -> str:
    """A card with these figures, before what it says of rebuilding, and without those that it had there."""
    before, _, after = card.partition(REBUILDING)
    before = before.partition(FIGURES)[0].rstrip()
    return f"{before}\n\n{FIGURES}\n\n{WHENCE}\n\n{table}\n\n{REBUILDING}{after}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.score", description=__doc__)
    parser.add_argument("model", help="a directory, or the name of a bundled model: zh, yue, en, lid")
    parser.add_argument("--set", dest="sets", nargs="+", choices=[*SETS, "language"], required=True)
    parser.add_argument("--condition", dest="conditions", nargs="+", choices=list(CONDITIONS), default=["clean"])
    parser.add_argument(
        "--precision", dest="precisions", nargs="+", choices=get_args(Precision), default=[best_cpu_precision()]
    )
    parser.add_argument("--engine", choices=get_args(EngineName), default="paddle")
    parser.add_argument("--beam", type=int, default=AsrOptions().beam_size)
    parser.add_argument("--no-rescoring", action="store_true", help="leave the attention decoder out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--card", dest="is_for_card", action="store_true", help="write the figures into its card")
    parser.add_argument("--limit", type=int, help="only so many clips of each set")
    return parser


def served(source: Path, folder: Path, precision: Precision, threads: int, engine: EngineName = "paddle") -> Predictor:
    """Import a model in whatever layout it has, and load it as a worker does."""
    store = ArtifactStore(folder)
    # The language is that of no one in particular: what is scored is told which model to use.
    order = Order(source=str(source.resolve()), name="scored", language="und", domain="general")
    (digest,) = asyncio.run(import_models([order], store))
    places = store.version_dir(digest), store.graph_dir(digest, engine)
    predictor = load(*places, precision=precision, threads=threads, engine=engine)
    list(predictor.warm_up())
    return predictor


def read(name: str, limit: int | None = None) -> list[tuple[Clip, Float32Array]]:
    """Read a frozen set, or its first `limit` clips."""
    return list(read_set(FROZEN_DIR, name))[:limit]


def score(
    predictor: Predictor, clips: Sequence[tuple[Clip, Float32Array]], condition: str, options: AsrOptions
) -> tuple[Rate, float]:
    """Recognise every clip by itself; returns the error rate, and seconds of work per second of audio."""
    heard = heard_through(condition, [samples for _, samples in clips], CONDITION_SEED)
    readings = []
    began_s = time.perf_counter()
    for samples in heard:
        (outcome,) = predictor.predict([samples], [options]).outcomes
        assert isinstance(outcome, Recognition)
        readings.append(outcome.hypotheses[0].text)
    spent_s = time.perf_counter() - began_s
    seconds = sum(samples.size for samples in heard) / SAMPLE_RATE_HZ
    return error_rate([clip.text for clip, _ in clips], readings), spent_s / seconds


def _is_rescored(predictor: Predictor, options: AsrOptions) -> bool:
    return predictor.manifest.decoder is not None and options.rescoring and options.beam_size > 1


if __name__ == "__main__":
    main()
