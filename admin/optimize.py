"""`voxgate models optimize`: TensorRT for a model on a GPU, made and checked before anything is served with it."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Annotated, Literal

import typer

from admin.rules import OpenCatalog
from model_store.artifacts.graphs import Fit, Gpu
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ModelUnknown, OptionInvalid
from model_store.importers.process import optimize_version
from model_store.residency.devices import identify

OpenStore = Callable[[], ArtifactStore]

_SHORT = 12


def optimize_command(open_catalog: OpenCatalog, open_store: OpenStore) -> Callable[..., None]:
    """The command, on the catalogue and the store that these give."""

    def optimize(
        name: Annotated[str, typer.Argument(help="Name of the model.")],
        device: Annotated[str, typer.Option(help="A GPU of this machine.")] = "gpu:0",
        precision: Annotated[
            Literal["fp16", "fp32"], typer.Option(help="How precisely TensorRT is to compute.")
        ] = "fp16",
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        """Have TensorRT take a model's version on a GPU, and hold what it answers against Paddle there.

        Takes minutes and much of the GPU. What is made serves on GPUs of that name with that driver, Paddle and
        TensorRT, where the engine of the model, or `runtime.engine`, is auto or tensorrt; a running gateway follows.
        What answers otherwise than Paddle does is refused, and Paddle serves as before. Not yet run on a GPU.
        """
        version = asyncio.run(_stable(open_catalog, name))
        fit = Fit(_gpu(device), precision)
        off = asyncio.run(optimize_version(version, open_store(), fit, int(device.removeprefix("gpu:"))))
        if as_json:
            told = {"model": name, "version": version, "gpu": fit.gpu.name, "precision": precision, "off": off}
            typer.echo(json.dumps(told))
            return
        farthest = ", ".join(f"{graph} {value:.2g}" for graph, value in off.items())
        typer.echo(f"TensorRT can serve {name}, version {version[:_SHORT]}, on {fit.gpu.name} in {precision}.")
        typer.echo(f"Farthest from Paddle's answers there: {farthest}.")
        typer.echo(f"`voxgate models rules {name} --engine auto` has it serve so.")

    return optimize


async def _stable(open_catalog: OpenCatalog, name: str) -> str:
    async with open_catalog() as catalog:
        version = (await catalog.model(name)).stable
    if version is None:
        raise ModelUnknown(f"The model {name} has no version yet.", param="model")
    return version


def _gpu(device: str) -> Gpu:
    if not re.fullmatch(r"gpu:\d+", device):
        raise OptionInvalid(f"TensorRT is for GPUs: say gpu: and a number, and not {device}.", param="device")
    if gpu := identify(device):
        return gpu
    told = f"There is no {device} on this machine, or its driver does not answer"
    raise OptionInvalid(f"{told}; `voxgate doctor` shows the devices that there are.", param="device")
