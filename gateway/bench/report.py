"""What `voxgate bench` says: as tables for people, as JSON for programs."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from gateway.bench.figures import Percentiles, Run
from gateway.bench.recordings import Clip
from gateway.bench.targets import Fields, ServerKind
from model_store.errors import OptionInvalid

_MIB: Final = 2**20
# From this share of a core on, or this late, the generator may be what was measured.
_BUSY_SHARE: Final = 0.7
_LATE_MS: Final = 20.0


class Sent(Struct, frozen=True, kw_only=True):
    """What the requests were made of."""

    clips: int
    audio_s: float
    shortest_s: float
    longest_s: float
    upload_bytes: int
    languages: dict[str, int]
    fields: dict[str, list[str]]
    says_language: bool

    @classmethod
    def of(cls, clips: Sequence[Clip], fields: Fields, *, says_language: bool) -> Self:
        """Of these clips; a language that is not known is `unknown`."""
        lengths = [clip.duration_s for clip in clips]
        known = [clip.language or "unknown" for clip in clips]
        return cls(
            clips=len(clips),
            audio_s=sum(lengths),
            shortest_s=min(lengths),
            longest_s=max(lengths),
            upload_bytes=sum(len(clip.audio) for clip in clips),
            languages={language: known.count(language) for language in sorted(set(known))},
            fields={name: [value for other, value in fields if other == name] for name, _ in fields},
            says_language=says_language,
        )


class Report(Struct, frozen=True, kw_only=True):
    """All runs of one command."""

    voxgate: str
    began_at: datetime
    server: ServerKind
    address: str
    sent: Sent
    runs: list[Run]

    def json(self) -> bytes:
        """One object, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def check_folder(file: Path, param: str) -> None:
    """Before the measurement rather than after it; raises OptionInvalid where the file could not be written."""
    if not file.absolute().parent.is_dir():
        raise OptionInvalid(f"--{param}: there is no folder {file.parent.name!r}.", param=param)


def tables(report: Report) -> RenderableType:
    """A column per run; stages below."""
    parts: list[RenderableType] = [_title(report), _summary(report.runs)]
    if any(run.stages_ms for run in report.runs):
        parts += ["Stages, as the server tells them: p50/p95/p99 in ms", _stages(report.runs)]
    said = {code: message for run in report.runs for code, message in run.error_messages.items()}
    parts += [f"[red]{escape(code)}[/]: {escape(message)}" for code, message in said.items()]
    return Group(*parts, *(f"[yellow]{warning}[/]" for warning in _warnings(report.runs)))


def _title(report: Report) -> str:
    sent = report.sent
    languages = ", ".join(f"{count} {language}" for language, count in sent.languages.items())
    lengths = " to ".join(dict.fromkeys(f"{length_s:.1f}" for length_s in (sent.shortest_s, sent.longest_s)))
    return f"{report.server} at {escape(report.address)}; {sent.clips} clips of {lengths} s ({languages})"


def _summary(runs: Sequence[Run]) -> Table:
    table = _table(*(run.load.shown for run in runs))
    for name, cell in _ROWS.items():
        cells = [cell(run) for run in runs]
        if any(cells):
            table.add_row(name, *cells)
    return table


def _stages(runs: Sequence[Run]) -> Table:
    table = _table(*(run.load.shown for run in runs))
    for stage in dict.fromkeys(stage for run in runs for stage in run.stages_ms):
        table.add_row(stage, *(_three(run.stages_ms.get(stage)) for run in runs))
    return table


def _warnings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        late = run.generator.sent_late_ms
        if run.is_interrupted:
            yield f"{run.load.shown}: interrupted after {run.counted_s:.1f} s; {run.unanswered} answers were still out."
        elif not run.requests:
            yield f"{run.load.shown}: no answer came within {run.counted_s:g} s; give it more --seconds, or --requests."
        if run.generator.cpu_share > _BUSY_SHARE:
            yield f"{run.load.shown}: the generator was busy itself; the server may be faster than this shows."
        if late is not None and late.p99 > _LATE_MS:
            yield f"{run.load.shown}: 1 % of the requests went out {late.p99:.0f} ms late; latencies contain that."


def _table(*columns: str) -> Table:
    table = Table("", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _three(values: Percentiles | None) -> str:
    return "" if values is None else "/".join(_ms(value) for value in (values.p50, values.p95, values.p99))


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _latency(name: str) -> Callable[[Run], str]:
    return lambda run: "" if run.latency_ms is None else _ms(getattr(run.latency_ms, name))


def _errors(run: Run) -> str:
    told = ", ".join(f"{count} {code}" for code, count in run.errors.items())
    return f"[red]{escape(told)}[/]" if told else "0"


def _texts(run: Run) -> str:
    if not run.texts_checked:
        return ""
    colour = "red" if run.texts_wrong else "green"
    return f"[{colour}]{run.texts_wrong}[/] of {run.texts_checked}"


def _late(run: Run) -> str:
    late = run.generator.sent_late_ms
    return "" if late is None else _ms(late.p99)


_ROWS: Final[dict[str, Callable[[Run], str]]] = {
    "counted, s": lambda run: f"{run.counted_s:.1f}",
    "requests": lambda run: str(run.requests),
    "errors": _errors,
    "latency p50, ms": _latency("p50"),
    "latency p95, ms": _latency("p95"),
    "latency p99, ms": _latency("p99"),
    "latency max, ms": _latency("max"),
    "requests per s": lambda run: f"{run.requests_per_s:.2f}",
    "audio s per s": lambda run: f"{run.audio_s_per_s:.2f}",
    "in time per s": lambda run: "" if run.goodput is None else f"{run.goodput.requests_per_s:.2f}",
    "in time": lambda run: "" if run.goodput is None else f"{run.goodput.share:.1%}",
    "wrong texts": _texts,
    "waited for a load": lambda run: str(run.cold or ""),
    "sent late p99, ms": _late,
    "generator, CPU s": lambda run: f"{run.generator.cpu_s:.2f}",
    "generator, of a core": lambda run: f"{run.generator.cpu_share:.1%}",
    "server, CPU s": lambda run: "" if run.server is None else f"{run.server.cpu_s:.1f}",
    "server, MiB": lambda run: "" if run.server is None else f"{run.server.memory_bytes / _MIB:,.0f}",
    "server, peak MiB": lambda run: "" if run.server is None else f"{run.server.peak_memory_bytes / _MIB:,.0f}",
}
