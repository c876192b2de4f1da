"""`voxgate models rules`: how a model is loaded and stays so, shown and set."""

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from model_store.catalog.protocol import Catalog
from model_store.catalog.records import DeviceKind, Rules, RulesChange
from model_store.engines.choice import engine_said, precision_said
from model_store.errors import OptionInvalid
from model_store.residency.rules import in_force
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings

OpenCatalog = Callable[[], AbstractAsyncContextManager[Catalog]]
ReadSettings = Callable[[], tuple[ResidencySettings, RuntimeSettings]]

_Priority = Literal["batch", "normal", "interactive", "default"]
_Engine = Literal["auto", "paddle", "openvino", "tensorrt", "default"]
_Precision = Literal["auto", "fp32", "bf16", "fp16", "default"]
_KINDS: Final[tuple[DeviceKind, ...]] = ("cpu", "gpu")


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
        engine: Annotated[
            _Engine | None,
            typer.Option(
                help="What computes it: openvino says nothing of GPUs, tensorrt nothing of CPUs. auto: the best."
            ),
        ] = None,
        precision: Annotated[
            _Precision | None,
            typer.Option(help="How precisely: bf16 says nothing of GPUs, fp16 nothing of CPUs. auto: the fastest."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        """Show the rules by which a model is loaded and stays so; with options, change those that are named.

        What is not said of a model, or set back to default, is as the gateway's settings have it. A running gateway
        follows within a few seconds, for predictors that are loaded too: where the engine or the precision is another,
        they finish what they have and are loaded anew. An engine or a precision that the machine does not have is
        refused when the model is asked for; auto takes what there is.
        """
        change = _change(keep_alive, pin, cpu, cpu_default=cpu_default)
        change |= _choices(priority, engine, precision)
        said = asyncio.run(_rules(open_catalog, name, change))
        _show_rules(name, said, *read_settings(), as_json=as_json)

    return rules


async def _rules(open_catalog: OpenCatalog, name: str, change: RulesChange) -> Rules:
    async with open_catalog() as catalog:
        return await catalog.change_rules(name, change) if change else (await catalog.model(name)).rules


def _change(keep_alive: str | None, pin: bool | None, cpu: bool | None, *, cpu_default: bool) -> RulesChange:
    """What the options say; those that were not given change nothing."""
    if cpu_default and cpu is not None:
        raise OptionInvalid("Say one of --cpu, --no-cpu and --cpu-default alone.", param="cpu")
    change = RulesChange()
    if keep_alive is not None:
        change["keep_alive_s"] = _keep_alive(keep_alive)
    if pin is not None:
        change["is_pinned"] = pin
    if cpu is not None or cpu_default:
        change["may_use_cpu"] = cpu
    return change


def _choices(priority: _Priority | None, engine: _Engine | None, precision: _Precision | None) -> RulesChange:
    """What the options say that take one of a few words."""
    change = RulesChange()
    if priority is not None:
        change["priority"] = None if priority == "default" else priority
    if engine is not None:
        change["engine"] = None if engine == "default" else engine
    if precision is not None:
        change["precision"] = None if precision == "default" else precision
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


def _show_rules(
    name: str, said: Rules, settings: ResidencySettings, runtime: RuntimeSettings, *, as_json: bool
) -> None:
    """The rules in force under these settings, which a gateway elsewhere need not have; and who says so."""
    rules = in_force(said, settings)
    engine = {kind: engine_said(kind, (said.engine, runtime.engine)) for kind in _KINDS}
    precision = {kind: precision_said(kind, (said.precision, runtime.precision)) for kind in _KINDS}
    is_finite = math.isfinite(rules.keep_alive_s)
    if as_json:
        forced = {
            "is_pinned": rules.is_pinned,
            "keep_alive_s": rules.keep_alive_s if is_finite else "forever",
            "priority": rules.priority.name.lower(),
            "may_use_cpu": rules.may_use_cpu,
            "engine": engine,
            "precision": precision,
        }
        typer.echo(json.dumps({"model": name, "said": msgspec.structs.asdict(said), "in_force": forced}))
        return
    keep_alive = f"{rules.keep_alive_s:g} s" if is_finite else "forever"
    table = Table("rule", name, "because of")
    for rule, value, by, default in (
        ("keep-alive", keep_alive, said.keep_alive_s, "residency.keep_alive_s"),
        ("pinned", _yes(rules.is_pinned), said.is_pinned, "default"),
        ("priority", rules.priority.name.lower(), said.priority, "default"),
        ("CPU may stand in", _yes(rules.may_use_cpu), said.may_use_cpu, "residency.may_use_cpu"),
        ("engine on a CPU", engine["cpu"], _own(said.engine, engine["cpu"]), "runtime.engine"),
        ("engine on a GPU", engine["gpu"], _own(said.engine, engine["gpu"]), "runtime.engine"),
        ("precision on a CPU", precision["cpu"], _own(said.precision, precision["cpu"]), "runtime.precision"),
        ("precision on a GPU", precision["gpu"], _own(said.precision, precision["gpu"]), "runtime.precision"),
    ):
        table.add_row(rule, value, "the model's own rule" if by is not None else default)
    Console().print(table)


def _own(said: str | None, in_force: str) -> str | None:
    """What is said of a model, where it is about the kind of device that this is in force for."""
    return said if said == in_force else None


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
