"""`python -m model_store.importers`: import foreign models in a process of its own.

    model SOURCE --store DIR --name zh-general --language zh --domain general     in whatever layout
    wenet SOURCE ...                train.yaml, units.txt, global_cmvn, final.pt
    paddlespeech SOURCE ...         model.yaml, data/, exp/<name>/checkpoints/<name>.pdparams
    model --batch --store DIR       a JSON list of {"source", "name", "language", "domain", "layout"} on standard input
    graph --store DIR [DIGEST ...]  make the graphs that this Paddle lacks, or the OpenVINO that is installed, of all
                                    versions when none is said
    optimize DIGEST --fit FIT --store DIR   make those for TensorRT on the first GPU of this process; FIT is JSON and
                                    says which one that is, and how precisely it is to compute

A source is a directory or a `.tar.gz` of it. One JSON line of result per model on standard output, `{"error": code,
"message": ...}` for one that failed; the exit status is 1 when any did. Everything else, Paddle's own talk included,
goes to standard error.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from model_store.artifacts.graphs import Fit
from model_store.artifacts.store import ArtifactStore
from model_store.errors import VoxgateError
from model_store.importers.request import ImportRequest

_LAYOUTS = {
    "model": "a model in any layout, which is told by its files",
    "wenet": "a model in WeNet's layout: train.yaml, units.txt, global_cmvn, final.pt",
    "paddlespeech": "a model in PaddleSpeech's layout: model.yaml, data/, exp/<name>/checkpoints/<name>.pdparams",
}


def main() -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args()
    with _only_results_on_stdout() as results:
        store = ArtifactStore(arguments.store)
        if arguments.command == "optimize":
            fit = msgspec.json.decode(arguments.fit, type=Fit)
            return _report(results, [_optimize_job(store, arguments.digest, fit)])
        if arguments.command == "graph":
            return _report(results, [_graph_job(store, digest) for digest in arguments.digests or store.digests()])
        return _report(results, [_import_job(request, store) for request in _requests(arguments)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_store.importers", description="Import foreign models.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in _LAYOUTS.items():
        layout = commands.add_parser(name, help=what, description=f"Import {what}.")
        layout.add_argument("source", nargs="?", help="directory of the model, or a .tar.gz of it")
        layout.add_argument("--store", type=Path, required=True, help="the artifact store")
        layout.add_argument("--name", help="name of the model")
        layout.add_argument("--language", help="BCP-47 primary tag; needed for a recogniser")
        layout.add_argument("--domain", help="what it is meant for")
        layout.add_argument("--batch", action="store_true", help="read a JSON list of models on standard input")
    graph = commands.add_parser("graph", help="export missing graphs", description="Export missing graphs.")
    graph.add_argument("digests", nargs="*", help="versions; all when none is said")
    graph.add_argument("--store", type=Path, required=True, help="the artifact store")
    optimize = commands.add_parser("optimize", help="make graphs for TensorRT", description="Make graphs for TensorRT.")
    optimize.add_argument("digest", help="the version")
    optimize.add_argument("--fit", required=True, help="the GPU and the precision, as JSON")
    optimize.add_argument("--store", type=Path, required=True, help="the artifact store")
    return parser


Job = Callable[[], object]


def _requests(arguments: argparse.Namespace) -> list[ImportRequest]:
    """What to import; a command that names a layout means it for each."""
    if arguments.batch:
        requests = msgspec.json.decode(sys.stdin.buffer.read(), type=list[ImportRequest])
    elif arguments.source and arguments.name:
        said = {name: getattr(arguments, name) for name in ("source", "name", "language", "domain")}
        requests = [ImportRequest(**said)]
    else:
        raise SystemExit("Say the source and --name, or use --batch.")
    if arguments.command == "model":
        return requests
    return [msgspec.structs.replace(request, layout=arguments.command) for request in requests]


def _import_job(request: ImportRequest, store: ArtifactStore) -> Job:
    # Here, and not at the top: `--help` should not wait for Paddle.
    from model_store.importers.conversion import convert
    from model_store.importers.layouts import import_model

    def job() -> object:
        imported = import_model(request, store)
        convert(imported.version, store)
        return imported

    return job


def _graph_job(store: ArtifactStore, digest: str) -> Job:
    from model_store.importers.conversion import convert
    from model_store.importers.publishing import make_graph

    def job() -> object:
        make_graph(digest, store)
        convert(digest, store)
        return {"version": digest}

    return job


def _optimize_job(store: ArtifactStore, digest: str, fit: Fit) -> Job:
    from model_store.importers.optimizing import optimize

    def job() -> object:
        return {"version": digest, "off": optimize(digest, store, fit).off}

    return job


def _report(results: BinaryIO, jobs: list[Job]) -> int:
    status = 0
    for job in jobs:
        try:
            outcome = job()
        except VoxgateError as exc:
            outcome, status = {"error": exc.code, "message": exc.message, **exc.details}, 1
        results.write(msgspec.json.encode(outcome) + b"\n")
        results.flush()
    return status


@contextmanager
def _only_results_on_stdout() -> Iterator[BinaryIO]:
    """Libraries print, in C++ too: give them standard error, and keep standard output for the results."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)
        yield results


if __name__ == "__main__":
    sys.exit(main())
