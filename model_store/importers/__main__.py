"""`python -m model_store.importers`: import foreign models in a process of its own.

    wenet SOURCE_DIR --store DIR --name zh-general --language zh --domain general
    wenet --batch --store DIR     a JSON list of {"source", "name", "language", "domain"} on standard input
    graph --store DIR [DIGEST ...]  export the graphs that this Paddle lacks, of all versions when none is said

One JSON line of result per model on standard output, `{"error": code, "message": ...}` for one that failed; the exit
status is 1 when any did. Everything else, Paddle's own talk included, goes to standard error.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from model_store.artifacts.store import ArtifactStore
from model_store.errors import VoxgateError


def main() -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args()
    with _only_results_on_stdout() as results:
        store = ArtifactStore(arguments.store)
        if arguments.command == "graph":
            return _report(results, [_graph_job(store, digest) for digest in arguments.digests or store.digests()])
        return _report(results, _wenet_jobs(arguments, store))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_store.importers", description="Import foreign models.")
    commands = parser.add_subparsers(dest="command", required=True)
    wenet = commands.add_parser("wenet", help="a model in WeNet's layout")
    wenet.add_argument("source", nargs="?", help="directory with train.yaml, units.txt, global_cmvn and final.pt")
    wenet.add_argument("--store", type=Path, required=True, help="the artifact store")
    wenet.add_argument("--name", help="name of the model")
    wenet.add_argument("--language", help="BCP-47 primary tag; needed for a recogniser")
    wenet.add_argument("--domain", help="what it is meant for")
    wenet.add_argument("--batch", action="store_true", help="read a JSON list of models on standard input")
    graph = commands.add_parser("graph", help="export missing graphs")
    graph.add_argument("digests", nargs="*", help="versions; all when none is said")
    graph.add_argument("--store", type=Path, required=True, help="the artifact store")
    return parser


Job = Callable[[], object]


def _wenet_jobs(arguments: argparse.Namespace, store: ArtifactStore) -> list[Job]:
    from model_store.importers.wenet import ImportRequest, import_wenet

    def job(request: ImportRequest) -> Job:
        return lambda: import_wenet(request, store)

    if arguments.batch:
        return [job(request) for request in msgspec.json.decode(sys.stdin.buffer.read(), type=list[ImportRequest])]
    if not arguments.source or not arguments.name:
        raise SystemExit("Say the source directory and --name, or use --batch.")
    wanted = ImportRequest(
        source=arguments.source, name=arguments.name, language=arguments.language, domain=arguments.domain
    )
    return [job(wanted)]


def _graph_job(store: ArtifactStore, digest: str) -> Job:
    from model_store.importers.publishing import make_graph

    def job() -> object:
        make_graph(digest, store)
        return {"version": digest}

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
