"""How what is loaded looks in a terminal: a few tables that fit eighty columns and use more where there are more."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from model_store.residency.ledger import Phase
from model_store.residency.view import DecisionView, DeviceView, ResidencyView, ResidentView

_MIB: Final = 2**20
_DECISIONS: Final = 10
_FOLDED: Final = ("model", "reason")
_PHASES: Final = {Phase.LOADING: "cyan", Phase.READY: "green", Phase.DRAINING: "yellow", Phase.STOPPING: "dim"}
_WHAT: Final = {"load": "cyan", "evict": "yellow", "refuse": "red", "fail": "red", "lost": "red"}
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def tables(view: ResidencyView) -> RenderableType:
    """The whole view; what there is none of is left out, save for residents."""
    return Group(*(table for table in _all(view) if table.row_count or table.title == "Residents"))


def _all(view: ResidencyView) -> Iterator[Table]:
    yield _devices(view.devices)
    yield _residents(view.residents)
    yield _waiting(view)
    yield _breakers(view)
    yield _decisions(view.decisions[:_DECISIONS])


def _devices(devices: list[DeviceView]) -> Table:
    columns = ("device", "budget", "headroom", "charged", "measured", "shared", "being freed", "for growth", "free")
    table = _table("Devices, in MiB", *columns)
    for one in devices:
        colour = "red" if one.free_bytes < 0 or one.measured_bytes > one.budget_bytes else "green"
        table.add_row(
            f"{one.id}{' [bold red]lost[/]' if one.is_lost else ''} [dim]{escape(one.name)}[/]",
            mib(one.budget_bytes),
            mib(one.headroom_bytes),
            mib(one.charged_bytes),
            f"[{colour}]{mib(one.measured_bytes)}[/]",
            mib(one.shared_bytes),
            mib(one.reserved_bytes),
            mib(one.growth_bytes),
            mib(one.free_bytes),
        )
    return table


def _residents(residents: list[ResidentView]) -> Table:
    table = _table("Residents", "model", "phase", "MiB", "age, used", "held", "stays", "load", "why")
    for one in residents:
        spoken = "" if one.language is None else f" {one.language}/{one.domain}"
        used = "" if one.last_use_s is None else f"{span(one.last_use_s)} ago"
        expected = "" if one.predicted_bytes is None else f"{mib(one.predicted_bytes)} expected"
        table.add_row(
            f"{escape(one.model)}\n[dim]{one.version}{escape(spoken)}[/]",
            f"[{_PHASES[one.phase]}]{one.phase.value}[/]\n[dim]{one.device}{'' if one.is_warm else ', not warm'}[/]",
            f"{mib(one.measured_bytes)} of {mib(one.charged_bytes)}\n[dim]{expected}[/]",
            f"{span(one.age_s)}\n[dim]{used}[/]",
            str(one.leases),
            "pinned" if one.is_pinned else "-" if one.keep_alive_s is None else span(one.keep_alive_s),
            f"{'-' if one.load_s is None else f'{one.load_s:.1f} s'}\n[dim]{_way(one)}[/]",
            f"{one.reason}\n[yellow]stands in[/]" if one.is_degraded else one.reason,
        )
    return table


def _way(one: ResidentView) -> str:
    return " ".join(said for said in (one.engine, one.precision) if said)


def _waiting(view: ResidencyView) -> Table:
    table = _table("Waiting", "model", "leases", "queue", "since", "class", "tried")
    for one in view.waiting:
        since = span(one.longest_wait_s)
        table.add_row(
            f"{escape(one.model)} [dim]{one.version}[/]",
            str(one.waiters),
            str(one.queue_length),
            since,
            one.priority,
            escape("; ".join(one.tried)) or "-",
        )
    return table


def _breakers(view: ResidencyView) -> Table:
    table = _table("Failed of late", "model", "state", "failures", "left alone", "last failure")
    for one in view.breakers:
        name = f"{escape(one.model)} [dim]{one.version}[/]"
        table.add_row(name, one.state, str(one.failures), span(one.retry_in_s), escape(one.reason))
    return table


def _decisions(decisions: list[DecisionView]) -> Table:
    table = _table("Decisions, the last first", "at", "what", "model", "reason", "detail")
    for one in decisions:
        often = f" ({one.times} times)" if one.times > 1 else ""
        where = f" {one.device}" if one.device else ""
        table.add_row(
            clock(one.at),
            f"[{_WHAT.get(one.what, 'white')}]{one.what}[/]",
            f"{escape(one.model)} [dim]{one.version}{where}[/]",
            one.reason,
            escape(one.detail) + often,
        )
    return table


def _table(title: str, *columns: str) -> Table:
    """Where there is too little room, the first and the last column are folded, which hold names and sentences."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in (columns[0], columns[-1], *_FOLDED))
    return table


def mib(size_bytes: int) -> str:
    """Whole MiB."""
    return f"{size_bytes / _MIB:,.0f}"


def span(seconds: float) -> str:
    """As people say how long something lasts, to two figures."""
    for unit_s, unit in _UNITS:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"


def clock(at: datetime) -> str:
    """The time of day where the reader is."""
    return at.astimezone().strftime("%H:%M:%S")
