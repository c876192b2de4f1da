"""The composition root of the command `voxgate`."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from admin.commands import models_commands, residency_command
from admin.remote import Remote
from gateway import client, doctor, logs
from gateway.app import Gateway, create_app
from gateway.bench.command import HELP, LocalGateway, bench_command
from gateway.serving import Server, address, keep_what_is_there, listening, listening_locally, local_socket
from gateway.settings import Settings, load
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.catalog.sql import open_catalog
from model_store.errors import ModelUnavailable, VoxgateError
from model_store.residency.owner import LOCK_FILE, is_owned
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()
app = typer.Typer(
    help="One address for speech recognition in many languages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class _Said:
    """What the options before the command said; the settings are read when a command needs them."""

    config: Path | None = None
    data_dir: str | None = None

    def settings(self, **more: object) -> Settings:
        """The settings in force, `more` by the name of a server setting."""
        server = {f"server.{name}": value for name, value in more.items()}
        return load(self.config, said={"server.data_dir": self.data_dir, **server})


_said = _Said()


@app.callback()
def configure(
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; VOXGATE_CONFIG names it too.", dir_okay=False)
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of models, catalogue and sockets.")] = None,
) -> None:
    """Settings come from defaults, a TOML file, VOXGATE_* variables and these options; the last one said wins."""
    _said.config = config
    _said.data_dir = str(data_dir) if data_dir else None


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 8080]")] = None,
) -> None:
    """Serve over HTTP until told to stop; SIGTERM lets requests in flight finish."""
    settings = _said.settings(host=host, port=port)
    logs.configure(settings.server.log_level, settings.server.log_format)
    asyncio.run(_serve(settings))


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Recordings in any common container.", exists=True)],
    language: Annotated[str | None, typer.Option(help="Language spoken; found if not said.")] = None,
    domain: Annotated[str | None, typer.Option(help="Domain, such as general.")] = None,
    model: Annotated[str, typer.Option(help="A model's name, or auto.")] = "auto",
    channels: Annotated[str, typer.Option(help="mix, or separate for the two sides of a call.")] = "mix",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
) -> None:
    """Transcribe files with the gateway that runs on this data directory, or with one of its own for a moment."""
    logs.configure("error", "console")
    said = {"model": model, "language": language, "domain": domain, "channels": channels}
    fields = {name: value for name, value in said.items() if value is not None}
    failures = asyncio.run(_transcribe(files, fields, as_json=as_json))
    if failures:
        raise typer.Exit(1)


@app.command(name="doctor")
def examine() -> None:
    """Show devices, memory and versions, and what is missing and how to get it."""
    if not doctor.show(_said.settings(), Console()):
        raise typer.Exit(1)


@contextlib.asynccontextmanager
async def _catalog() -> AsyncIterator[Catalog]:
    settings = _said.settings()
    catalog = await open_catalog(settings.catalog.url_in(settings.server.data_path))
    try:
        yield catalog
    finally:
        await catalog.close()


def _store() -> ArtifactStore:
    return ArtifactStore(_said.settings().server.data_path / "artifacts")


def _loading() -> tuple[ResidencySettings, RuntimeSettings]:
    settings = _said.settings()
    return settings.residency, settings.runtime


def _remote(url: str | None) -> Remote:
    settings = _said.settings()
    return Remote(url or address(settings.server), settings.admin.bootstrap_key)


def _local_gateway() -> LocalGateway:
    data_dir = _said.settings().server.data_path
    if not is_owned(data_dir):
        hint = "`voxgate serve` starts one, `--url` says where another server is."
        raise ModelUnavailable(f"No gateway runs on this data directory. {hint}")
    return LocalGateway(local_socket(data_dir), int((data_dir / LOCK_FILE).read_text()))


app.command(name="bench", help=HELP)(bench_command(_local_gateway))
app.add_typer(models_commands(_catalog, _store, _loading), name="models")
app.command(name="residency")(residency_command(_remote))


async def _serve(settings: Settings) -> None:
    gateway = Gateway(settings)
    server = Server(create_app(gateway), gateway.admission, settings.server, gateway.give_up)
    with listening(settings.server) as public:
        async with gateway.running():
            with listening_locally(settings.server.data_path) as local:
                keep_what_is_there()
                host, port = public.getsockname()[:2]
                log.info("server.listening", url=f"http://{host}:{port}")
                await server.serve(sockets=[public, local])


async def _transcribe(files: Sequence[Path], fields: dict[str, str], *, as_json: bool) -> int:
    """Print a row or an object per file as it is done; returns how many failed."""
    table = Table("file", "language", "model", "seconds", Column("text", overflow="fold"))
    failures = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        async with client.gateway_client(_said.settings()) as http:
            for file in files:
                answer = await _one(http, file, fields, progress)
                failures += "error" in answer
                if as_json:
                    typer.echo(json.dumps(answer, ensure_ascii=False))
                else:
                    table.add_row(*_row(answer))
    if not as_json:
        Console().print(table)
    return failures


async def _one(http: Any, file: Path, fields: dict[str, str], progress: Progress) -> dict[str, Any]:
    task = progress.add_task(file.name, total=None)
    try:
        async for event in client.transcribe(http, file, fields):
            if event["type"] == "transcript.text.segment":
                progress.update(task, description=f"{file.name} {event['end']:.0f} s")
            if event["type"] == "transcript.text.done":
                return _answer(file, event)
    except client.Refused as refused:
        return {"file": str(file), "error": refused.code, "message": refused.message}
    finally:
        progress.remove_task(task)
    return {"file": str(file), "error": "interrupted", "message": "The gateway ended before the answer was whole."}


def _answer(file: Path, done: dict[str, Any]) -> dict[str, Any]:
    ours = done["voxgate"]
    kept = ("language", "language_confidence", "domain", "model", "version")
    return {
        "file": str(file),
        "text": done["text"],
        **{name: ours[name] for name in kept},
        "duration_s": ours["duration"],
        "devices": ours["devices"],
        "is_degraded": ours["is_degraded"],
        "stages_ms": ours["stages_ms"],
        "words": ours.get("words", []),
    }


def _row(answer: dict[str, Any]) -> list[str]:
    name = Path(answer["file"]).name
    if "error" in answer:
        return [name, "-", "-", "-", f"[red]{answer['error']}[/red]: {escape(answer['message'])}"]
    confidence = f" {answer['language_confidence']:.2f}" if answer["language"] else ""
    return [
        name,
        f"{answer['language'] or '-'}{confidence}",
        f"{answer['model'] or '-'}{' [yellow](degraded: a GPU is lost)[/yellow]' if answer['is_degraded'] else ''}",
        f"{answer['duration_s']:.1f}",
        answer["text"] or "(no speech)",
    ]


def main() -> None:
    """Entry point; an error of the tree is told in one line, without a traceback."""
    try:
        app(standalone_mode=True)
    except VoxgateError as error:
        Console(stderr=True).print(f"[red]{error.code}[/red]: {escape(error.message)}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
