"""`voxgate bench`: its options, and what it shows."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from gateway.bench.address import Address
from gateway.bench.arrivals import Arrivals
from gateway.bench.figures import Run
from gateway.bench.orders import Said, order_of
from gateway.bench.picture import check_picture, draw
from gateway.bench.report import Report, Sent, check_folder, tables
from gateway.bench.session import Order, measure
from gateway.bench.targets import ServerKind
from model_store.errors import OptionInvalid

_STDOUT: Final = "-"
_FAILED: Final = 1
_INTERRUPTED: Final = 130  # what shells make of Ctrl-C
_SENT, _HOW, _OUT = "What is sent", "How it is sent", "What comes out"


# Paragraphs on one line each: in a docstring, help keeps the line breaks of the source.
HELP: Final = "\n\n".join(
    (
        "Measure a server under load as its callers see it: latency, throughput, goodput, errors, stages, memory.",
        "A closed loop (--clients) shows what a server can do at most, an open loop (--rate) what callers wait at a "
        "given demand: its latencies count from when a request was due, even if it could not be sent then.",
        "Errors are counted by their code and are in no latency. Texts are compared with those in a folder's "
        "samples.json where there is one, as the bundled samples have it: a fast wrong server is not fast.",
        "Ctrl-C ends it with the figures so far. The generator tells what it took of the machine itself.",
        "[bold]Side by side:[/] voxgate bench --cut 3 --clients 1,4,16,64 --deadline 1 --json ours.json",
        "... and then: voxgate bench --cut 3 --clients 1,4,16,64 --deadline 1 --json theirs.json --server paddlespeech "
        "--url http://127.0.0.1:8090 --pid PID",
    )
)


class LocalGateway(NamedTuple):
    """A gateway on this machine: where it listens for commands, and its process."""

    socket: Path
    pid: int


def bench_command(find_local: Callable[[], LocalGateway]) -> Callable[..., None]:
    """The command `voxgate bench`, which goes to the gateway that `find_local` finds where no address is said."""

    def bench(
        files: Annotated[
            list[Path] | None,
            typer.Argument(help="Recordings, or folders of them.", exists=True, show_default="the bundled samples"),
        ] = None,
        url: Annotated[
            str | None,
            typer.Option(help="Address of the server.", show_default="the gateway that runs on this data directory"),
        ] = None,
        server: Annotated[
            ServerKind,
            typer.Option(help="What it is; voxgate also drives others that speak OpenAI's audio protocol."),
        ] = "voxgate",
        pid: Annotated[
            int | None, typer.Option(help="Process of a server on this machine: tells host memory and CPU of its tree.")
        ] = None,
        api_key: Annotated[
            str | None, typer.Option(envvar="OPENAI_API_KEY", help="Goes to a voxgate as bearer token.")
        ] = None,
        header: Annotated[
            list[str] | None, typer.Option(metavar="NAME:VALUE", help="Header of every request; can be repeated.")
        ] = None,
        field: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=VALUE",
                help="Form field of every request, such as model=zh-general; can be repeated.",
                rich_help_panel=_SENT,
            ),
        ] = None,
        say_language: Annotated[
            bool,
            typer.Option(
                "--say-language", help="Say each recording's language, where it is known.", rich_help_panel=_SENT
            ),
        ] = False,
        cut: Annotated[
            str | None,
            typer.Option(
                metavar="SECONDS,...",
                help="Clips of these lengths, cut from the recordings of each language joined end to end.",
                rich_help_panel=_SENT,
            ),
        ] = None,
        wav: Annotated[
            bool,
            typer.Option(
                "--wav",
                help="16 kHz mono WAV, whatever the files are; PaddleSpeech gets that anyway.",
                rich_help_panel=_SENT,
            ),
        ] = False,
        clients: Annotated[
            str | None,
            typer.Option(
                metavar="N,...",
                help="Closed loop: so many, each waits for its answer, and 0.1 s after an error. Several: a run each.",
                show_default="1",
                rich_help_panel=_HOW,
            ),
        ] = None,
        rate: Annotated[
            str | None,
            typer.Option(
                metavar="R,...",
                help="Open loop: so many a second, whether answers come or not. Several: a run each.",
                rich_help_panel=_HOW,
            ),
        ] = None,
        arrivals: Annotated[
            Arrivals,
            typer.Option(
                help="Of an open loop: callers who know nothing of each other, a clock, or crowds and lulls.",
                rich_help_panel=_HOW,
            ),
        ] = "poisson",
        seconds: Annotated[
            float | None,
            typer.Option(
                help="How long a run counts; answers that are out then are waited for.",
                min=0.1,
                show_default="30",
                rich_help_panel=_HOW,
            ),
        ] = None,
        requests: Annotated[
            int | None, typer.Option(help="Or how many requests of it count.", min=1, rich_help_panel=_HOW)
        ] = None,
        warm_up: Annotated[
            float,
            typer.Option(help="Seconds of the same load before that, which do not count.", min=0, rich_help_panel=_HOW),
        ] = 5.0,
        timeout: Annotated[
            float, typer.Option(help="Seconds after which a request has failed.", min=0.1, rich_help_panel=_HOW)
        ] = 300.0,
        seed: Annotated[
            int, typer.Option(help="Of the order of clips and the arrivals: the same again.", rich_help_panel=_HOW)
        ] = 0,
        deadline: Annotated[
            float | None,
            typer.Option(help="Seconds within which an answer is good; adds goodput.", min=0, rich_help_panel=_OUT),
        ] = None,
        json_file: Annotated[
            str | None,
            typer.Option("--json", metavar="FILE|-", help="All figures as one JSON object.", rich_help_panel=_OUT),
        ] = None,
        picture: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Latency and throughput: .png, .svg or .pdf.", rich_help_panel=_OUT),
        ] = None,
    ) -> None:
        """The options as they were said -> a report."""
        if picture is not None:
            check_picture(picture)
        if json_file is not None and json_file != _STDOUT:
            check_folder(Path(json_file), "json")
        said = Said(
            files=files or [],
            server=server,
            api_key=api_key,
            headers=header or [],
            fields=field or [],
            say_language=say_language,
            cut=cut,
            as_wav=wav,
            clients=clients,
            rate=rate,
            arrivals=arrivals,
            seconds=seconds,
            requests=requests,
            warm_up_s=warm_up,
            timeout_s=timeout,
            seed=seed,
            deadline_s=deadline,
        )
        order = _order(said, url, pid, find_local)
        report = _new_report(order, said)
        try:
            is_interrupted = asyncio.run(_measured(order, report.runs))
        finally:
            if report.runs:
                _show(report, json_file, picture)
        if is_interrupted:
            raise typer.Exit(_INTERRUPTED)
        if not any(run.latency_ms for run in report.runs):
            raise typer.Exit(_FAILED)

    return bench


def _order(said: Said, url: str | None, pid: int | None, find_local: Callable[[], LocalGateway]) -> Order:
    if url is not None:
        return order_of(said, Address.of_url(url), pid)
    if said.server != "voxgate":
        raise OptionInvalid(f"Say where the {said.server} server is: --url http://127.0.0.1:8090.", param="url")
    local = find_local()
    return order_of(said, Address.of_socket(local.socket), pid if pid is not None else local.pid)


def _new_report(order: Order, said: Said) -> Report:
    return Report(
        voxgate=version("voxgate"),
        began_at=datetime.now(UTC),
        server=said.server,
        address=order.address.shown,
        sent=Sent.of(order.clips, said.pairs(), says_language=said.say_language),
        runs=[],
    )


async def _measured(order: Order, runs: list[Run]) -> bool:
    """Fill in the runs as they are over; whether Ctrl-C ended it."""
    progress = Console(stderr=True, highlight=False)
    stop = asyncio.Event()
    with _first_interrupt(stop.set):
        await measure(order, stop, lambda told: progress.print(f"[dim]{escape(told)}[/]"), runs.append)
    return stop.is_set()


@contextlib.contextmanager
def _first_interrupt(tell: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C tells; a second one ends the command as usual."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        tell()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _show(report: Report, json_file: str | None, picture: Path | None) -> None:
    if json_file == _STDOUT:
        typer.echo(report.json().decode())
    else:
        Console().print(tables(report))
        if json_file is not None:
            Path(json_file).write_bytes(report.json())
    if picture is not None:
        draw(report, picture)
