"""Importing from a process that may not load Paddle: the importer is started as a process of its own."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct, structs

from model_store.artifacts.graphs import EngineName, Fit, can_convert
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.request import Layout

log = structlog.get_logger()


class Order(Struct, frozen=True, kw_only=True):
    """A model to import: the directory of its files or a `.tar.gz` of it, and as which model.

    Without a `layout`, the importer tells it by the files.
    """

    source: str
    name: str
    language: str | None = None
    domain: str | None = None
    layout: Layout | None = None


async def import_models(orders: Sequence[Order], store: ArtifactStore) -> list[str]:
    """Import the models into `store`; returns the digests of the versions. Raises ImportFailed."""
    request = json.dumps([structs.asdict(order) for order in orders]).encode()
    results = await _results_of("model", "--batch", store=store, told=request, expected=len(orders))
    for result in results:
        if "error" in result:
            raise ImportFailed(result["message"])
    return [result["version"] for result in results]


async def make_graphs(versions: Sequence[str], store: ArtifactStore) -> None:
    """Make the graphs that this Paddle lacks, of versions that were imported with another or an older network code.

    So too those for OpenVINO, of versions that were imported before it was installed. What cannot be made is logged:
    its version fails when it is loaded, or is left to Paddle, and the others serve.
    """
    engines: tuple[EngineName, ...] = ("paddle", "openvino") if can_convert() else ("paddle",)
    # There or not: whether it is sound would take reading all of them, and is seen when one is loaded.
    lacking = [
        version for version in versions if not all(store.graph_dir(version, engine).is_dir() for engine in engines)
    ]
    if not lacking:
        return
    log.info("importers.making_graphs", versions=[version[:12] for version in lacking])
    try:
        results = await _results_of("graph", *lacking, store=store, expected=len(lacking))
    except ImportFailed as error:
        results = [{"error": error.code, "message": error.message}]
    for result in results:
        if "error" in result:
            log.warning("importers.no_graph", error=result["message"])


async def optimize_version(version: str, store: ArtifactStore, fit: Fit, index: int) -> dict[str, float]:
    """Make a version's graphs for TensorRT on the GPU of that index; returns how far each was found to be off.

    Raises ImportFailed.
    """
    # The conversion takes the first GPU that its process sees. The driver numbers them by their bus.
    environ = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index)}
    command = ("optimize", version, "--fit", msgspec.json.encode(fit).decode())
    (result,) = await _results_of(*command, store=store, expected=1, environ=environ)
    if "error" in result:
        raise ImportFailed(result["message"])
    off: dict[str, float] = result["off"]
    return off


async def _results_of(
    *command: str, store: ArtifactStore, told: bytes = b"", expected: int, environ: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """What the importer's process answers, one result for each thing that it is asked; raises ImportFailed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_store.importers", *command, "--store", str(store.root)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environ or {})},
    )
    try:
        out, err = await process.communicate(told)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    results = [json.loads(line) for line in out.splitlines()]
    if len(results) != expected and not any("error" in result for result in results):
        last = err.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise ImportFailed(f"The importer ended early: {last[-1]}")
    return results
