"""`voxgate models rules`: how a model stays loaded, shown and set."""

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from model_store.catalog.protocol import Catalog
from model_store.catalog.records import Rules, RulesChange
from model_store.errors import OptionInvalid
from model_store.residency.rules import in_force
from model_store.residency.settings import ResidencySettings

OpenCatalog = Callable[[], AbstractAsyncContextManager[Catalog]]
ReadSettings = Callable[[], ResidencySettings]

_Priority = Literal["batch", "normal", "interactive", "default"]


def rules_command(open_catalog: OpenCatalog, read_settings: ReadSettings) -> Callable[..., None]:
    """The command, on the catalogue and the settings that these give."""

    def rules(
        name: Annotated[str, typer.Argument(help="Name of the model.")],
        keep_alive: Annotated[
            str | None,
            typer.Option(
                metavar="SECONDS|forever|default", help="How long it stays loaded after its last use; 0 is not at all."
            ),
        ] = None,
        pin: Annotated[bool | None, typer.Option("--pin/--no-pin", help="Whether it stays once it is loaded.")] = None,
        priority: Annotated[
            _Priority | None,
            typer.Option(help="Higher classes get room first and go last: interactive, normal, batch."),
        ] = None,
        cpu: Annotated[
            bool | None, typer.Option("--cpu/--no-cpu", help="Whether the CPU may serve it while its GPU is lost.")
        ] = None,
        cpu_default: Annotated[
            bool, typer.Option("--cpu-default", help="Back to the setting residency.may_use_cpu.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        """Show the rules by which a model stays loaded; with options, change those that are named.

        What is not said of a model, or set back to default, is as the gateway's settings have it. A running gateway
        follows within a few seconds, for predictors that are loaded too.
        """
        change = _change(keep_alive, pin, priority, cpu, cpu_default=cpu_default)
        said = asyncio.run(_rules(open_catalog, name, change))
        _show_rules(name, said, read_settings(), as_json=as_json)

    return rules


async def _rules(open_catalog: OpenCatalog, name: str, change: RulesChange) -> Rules:
    async with open_catalog() as catalog:
        return await catalog.change_rules(name, change) if change else (await catalog.model(name)).rules


def _change(
    keep_alive: str | None, pin: bool | None, priority: _Priority | None, cpu: bool | None, *, cpu_default: bool
) -> RulesChange:
    """What the options say; those that were not given change nothing."""
    if cpu_default and cpu is not None:
        raise OptionInvalid("Say one of --cpu, --no-cpu and --cpu-default alone.", param="cpu")
    change = RulesChange()
    if keep_alive is not None:
        change["keep_alive_s"] = _keep_alive(keep_alive)
    if pin is not None:
        change["is_pinned"] = pin
    if priority is not None:
        change["priority"] = None if priority == "default" else priority
    if cpu is not None or cpu_default:
        change["may_use_cpu"] = cpu
    return change


def _keep_alive(told: str) -> float | Literal["forever"] | None:
    if told == "default":
        return None
    if told == "forever":
        return "forever"
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise OptionInvalid(
            f"--keep-alive is a number of seconds from 0 on, forever or default, and not {told}.", param="keep_alive"
        )
    return seconds


def _show_rules(name: str, said: Rules, settings: ResidencySettings, *, as_json: bool) -> None:
    """The rules in force under these settings, which a gateway elsewhere need not have; and who says so."""
    rules = in_force(said, settings)
    is_finite = math.isfinite(rules.keep_alive_s)
    if as_json:
        forced = {
            "is_pinned": rules.is_pinned,
            "keep_alive_s": rules.keep_alive_s if is_finite else "forever",
            "priority": rules.priority.name.lower(),
            "may_use_cpu": rules.may_use_cpu,
        }
        typer.echo(json.dumps({"model": name, "said": msgspec.structs.asdict(said), "in_force": forced}))
        return
    table = Table("rule", name, "because of")
    for rule, value, by, default in (
        ("keep-alive", f"{rules.keep_alive_s:g} s" if is_finite else "forever", said.keep_alive_s, "keep_alive_s"),
        ("pinned", _yes(rules.is_pinned), said.is_pinned, None),
        ("priority", rules.priority.name.lower(), said.priority, None),
        ("CPU may stand in", _yes(rules.may_use_cpu), said.may_use_cpu, "may_use_cpu"),
    ):
        setting = f"residency.{default}" if default else "default"
        table.add_row(rule, value, "the model's own rule" if by is not None else setting)
    Console().print(table)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
