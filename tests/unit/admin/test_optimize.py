"""`voxgate models optimize`, on a machine without a GPU, and where one is stood in for."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from admin import optimize
from admin.commands import models_commands
from model_store.artifacts.graphs import Fit, Gpu
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import SqlCatalog, open_catalog
from model_store.errors import ImportFailed, ModelUnknown, OptionInvalid
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings
from tests.manifests import manifest

VOXGATE = Path(sys.executable).with_name("voxgate")
H200 = Gpu("NVIDIA H200", "9.0", "570.124.06")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Gives the command where there is one model, zh-general, and no files behind it."""

    @contextlib.asynccontextmanager
    async def catalog() -> AsyncIterator[SqlCatalog]:
        opened = await open_catalog(CatalogSettings().url_in(tmp_path))
        yield opened
        await opened.close()

    async def register() -> None:
        async with catalog() as opened:
            await opened.register(manifest("zh-general"))

    asyncio.run(register())
    settings = (ResidencySettings(), RuntimeSettings())
    commands = models_commands(catalog, lambda: ArtifactStore(tmp_path / "artifacts"), lambda: settings)
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(commands, ["optimize", *arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the importer's process was asked, on a machine with two such GPUs, where TensorRT answers nearly alike."""
    heard: list[tuple[Any, ...]] = []

    async def optimized(version: str, _: ArtifactStore, fit: Fit, index: int) -> dict[str, float]:
        heard.append((version, fit, index))
        return {"encoder": 0.0123}

    monkeypatch.setattr(optimize, "identify", lambda device: H200 if device in ("gpu:0", "gpu:1") else None)
    monkeypatch.setattr(optimize, "optimize_version", optimized)
    return heard


def test_optimize_asks_for_the_stable_version_on_that_gpu_and_tells_what_was_found(
    run: Run, asked: list[tuple[Any, ...]]
) -> None:
    answer = run("zh-general", "--device", "gpu:1", "--precision", "fp32")
    version = manifest("zh-general").digest
    assert asked == [(version, Fit(H200, "fp32"), 1)]
    for told in (version[:12], "NVIDIA H200 in fp32", "encoder 0.012", "models rules zh-general --engine auto"):
        assert told in answer.stdout


def test_optimize_is_for_the_first_gpu_in_fp16_unless_said_otherwise(run: Run, asked: list[tuple[Any, ...]]) -> None:
    told = json.loads(run("zh-general", "--json").stdout)
    assert [one[1:] for one in asked] == [(Fit(H200, "fp16"), 0)]
    assert (told["model"], told["gpu"], told["off"]) == ("zh-general", "NVIDIA H200", {"encoder": 0.0123})


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (("nobody",), ModelUnknown, "no model nobody"),
        (("zh-general", "--device", "cpu"), OptionInvalid, "TensorRT is for GPUs"),
        (("zh-general", "--device", "gpu:2"), OptionInvalid, "no gpu:2 on this machine.*voxgate doctor"),
    ],
)
def test_optimize_what_is_not_there_is_refused_and_nothing_is_begun(
    run: Run, asked: list[tuple[Any, ...]], arguments: tuple[str, ...], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        raise run(*arguments).exception or AssertionError("it was not refused")
    assert asked == []


def test_optimize_that_fails_in_its_process_tells_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle is built for GPUs")
    monkeypatch.setattr(optimize, "identify", lambda _: H200)
    error = run("zh-general").exception
    assert isinstance(error, ImportFailed)
    assert "built for CPUs" in error.message


def test_command_help_says_that_it_was_not_run_on_a_gpu_yet() -> None:
    command = [VOXGATE, "models", "optimize", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for word in ("Not yet run on a GPU", "--device", "--precision", "--json"):
        assert word in " ".join(told.replace("│", " ").split())
