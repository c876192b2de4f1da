"""`voxgate models ...`: what admins do from a shell."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import ModelRecord
from model_store.errors import ModelUnknown
from model_store.importers.process import Order, import_models

OpenCatalog = Callable[[], AbstractAsyncContextManager[Catalog]]
OpenStore = Callable[[], ArtifactStore]

_SHORT = 12


def models_commands(open_catalog: OpenCatalog, open_store: OpenStore) -> typer.Typer:
    """The commands under `voxgate models`, on the catalogue and the store that the settings name."""
    commands = typer.Typer(help="List the models, or bring one in.", no_args_is_help=True)

    @commands.command("list")
    def list_models(
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object per model.")] = False,
    ) -> None:
        """List the models of the catalogue and the version of each that takes the traffic."""
        _show(asyncio.run(_models(open_catalog)), as_json=as_json)

    @commands.command("import")
    def import_model(
        source: Annotated[Path, typer.Argument(help="Directory of a checkpoint in WeNet's layout.", exists=True)],
        name: Annotated[str, typer.Option(help="Name of the model, such as zh-finance.")],
        language: Annotated[
            str | None, typer.Option(help="Language that it recognises: zh, yue, en, ...; none for a classifier.")
        ] = None,
        domain: Annotated[str, typer.Option(help="Domain that it is for; a classifier has none.")] = "general",
    ) -> None:
        """Import a checkpoint as a version, check it by running it, and let it take the model's traffic."""
        order = Order(source=str(source), name=name, language=language, domain=domain)
        digest = asyncio.run(_import(open_catalog, open_store(), order))
        typer.echo(f"{name} is now served by version {digest[:_SHORT]}.")

    return commands


async def _models(open_catalog: OpenCatalog) -> Sequence[ModelRecord]:
    async with open_catalog() as catalog:
        return await catalog.models()


async def _import(open_catalog: OpenCatalog, store: ArtifactStore, order: Order) -> str:
    (digest,) = await import_models([order], store)
    async with open_catalog() as catalog:
        await catalog.register(store.manifest(digest))
    return digest


def _show(models: Sequence[ModelRecord], *, as_json: bool) -> None:
    if as_json:
        for model in models:
            typer.echo(json.dumps(_row(model), ensure_ascii=False))
        return
    if not models:
        raise ModelUnknown("No model is registered yet: `voxgate serve` brings the bundled ones in.")
    table = Table("model", "kind", "language", "domain", "stable version")
    for model in models:
        table.add_row(*(value or "-" for value in _row(model).values()))
    Console().print(table)


def _row(model: ModelRecord) -> dict[str, str | None]:
    return {
        "model": model.name,
        "kind": model.kind,
        "language": model.language,
        "domain": model.domain,
        "version": model.stable[:_SHORT] if model.stable else None,
    }
