"""Importing from a process that may not load Paddle: the importer is started as a process of its own."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence

from msgspec import Struct, structs

from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed


class Order(Struct, frozen=True, kw_only=True):
    """A model in WeNet's layout to import: the directory of its files, and as which model."""

    source: str
    name: str
    language: str | None = None
    domain: str | None = None


async def import_models(orders: Sequence[Order], store: ArtifactStore) -> list[str]:
    """Import the models into `store`; returns the digests of the versions. Raises ImportFailed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "model_store.importers", "wenet", "--batch", "--store", str(store.root)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        request = json.dumps([structs.asdict(order) for order in orders]).encode()
        out, err = await process.communicate(request)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    results = [json.loads(line) for line in out.splitlines()]
    for result in results:
        if "error" in result:
            raise ImportFailed(result["message"])
    if len(results) != len(orders):
        told = err.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise ImportFailed(f"The importer ended early: {told[-1]}")
    return [result["version"] for result in results]
