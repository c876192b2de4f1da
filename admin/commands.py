"""`voxgate models ...`, `voxgate residency`: what admins do from a shell."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from admin import terminal
from admin.optimize import OpenStore, optimize_command
from admin.remote import Remote
from admin.rules import OpenCatalog, ReadSettings, rules_command
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.records import ModelRecord
from model_store.errors import ModelUnavailable, ModelUnknown
from model_store.importers.process import Order, import_models
from model_store.importers.request import Layout

# Where the gateway of these settings answers, or the one at an address that was said.
Reach = Callable[[str | None], Remote]

_SHORT = 12
_REFRESH_S = 1.0


def models_commands(open_catalog: OpenCatalog, open_store: OpenStore, read_settings: ReadSettings) -> typer.Typer:
    """The commands under `voxgate models`, on the catalogue and the store that the settings name."""
    commands = typer.Typer(help="List the models, bring one in, or say how one is loaded.", no_args_is_help=True)

    @commands.command("list")
    def list_models(
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object per model.")] = False,
    ) -> None:
        """List the models of the catalogue and the version of each that takes the traffic."""
        _show(asyncio.run(_models(open_catalog)), as_json=as_json)

    @commands.command("import")
    def import_model(
        source: Annotated[
            Path, typer.Argument(help="Directory of a WeNet or PaddleSpeech model, or a .tar.gz of it.", exists=True)
        ],
        name: Annotated[str, typer.Option(help="Name of the model, such as zh-finance.")],
        language: Annotated[
            str | None, typer.Option(help="Language that it recognises: zh, yue, en, ...; none for a classifier.")
        ] = None,
        domain: Annotated[str, typer.Option(help="Domain that it is for; a classifier has none.")] = "general",
        layout: Annotated[
            Layout | None, typer.Option(help="How its files are laid out.", show_default="told by the files")
        ] = None,
    ) -> None:
        """Import a checkpoint as a version, check it by running it, and let it take the model's traffic.

        wenet: train.yaml, units.txt, global_cmvn, final.pt. paddlespeech: model.yaml, data/,
        exp/NAME/checkpoints/NAME.pdparams, as in its published archives.
        """
        order = Order(source=str(source), name=name, language=language, domain=domain, layout=layout)
        digest = asyncio.run(_import(open_catalog, open_store(), order))
        typer.echo(f"{name} is now served by version {digest[:_SHORT]}.")

    commands.command("rules")(rules_command(open_catalog, read_settings))
    commands.command("optimize")(optimize_command(open_catalog, open_store))
    return commands


def residency_command(reach: Reach) -> Callable[..., None]:
    """The command `voxgate residency`, which asks the gateway that `reach` gives."""

    def residency(
        url: Annotated[
            str | None,
            typer.Option(help="Address of the gateway.", show_default="the one that the settings have it listen on"),
        ] = None,
        once: Annotated[bool, typer.Option("--once", help="Print it once, and end.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print it once, as one JSON object.")] = False,
    ) -> None:
        """Show what is loaded where and why, who waits, and the decisions of late; anew each second until Ctrl-C.

        Talks to the running gateway over HTTP. Where that has an operator's key, VOXGATE_BOOTSTRAP_KEY must hold it
        here too.
        """
        remote = reach(url)
        if as_json:
            typer.echo(msgspec.json.encode(remote.residency()).decode())
        elif once or not sys.stdout.isatty():
            Console().print(terminal.tables(remote.residency()))
        else:
            _watch(remote)

    return residency


def _watch(remote: Remote) -> None:
    """Live, until Ctrl-C; a gateway that is away for a moment is waited for, one that was never there is not."""
    shown: RenderableType = terminal.tables(remote.residency())
    with contextlib.suppress(KeyboardInterrupt), Live(shown, screen=True, auto_refresh=False) as live:
        while True:
            live.update(shown, refresh=True)
            time.sleep(_REFRESH_S)
            shown = _renewed(remote, shown)


def _renewed(remote: Remote, last: RenderableType) -> RenderableType:
    try:
        return terminal.tables(remote.residency())
    except ModelUnavailable as gone:
        return Group(Text(gone.message, style="red"), last)


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
