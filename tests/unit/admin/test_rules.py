"""`voxgate models rules` on a catalogue in a folder, and once as a shell sees it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from admin.commands import models_commands
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.records import Rules
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import SqlCatalog, open_catalog
from model_store.errors import ModelUnknown, OptionInvalid
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings
from tests.manifests import manifest

VOXGATE = Path(sys.executable).with_name("voxgate")
UNSAID = dict.fromkeys(Rules.__struct_fields__)


class Shell:
    """Gives the command `models rules` where there is one model, zh-general."""

    def __init__(self, folder: Path) -> None:
        self.settings = ResidencySettings()
        self.runtime = RuntimeSettings()
        self._folder = folder
        self._commands = models_commands(
            self._catalog, lambda: ArtifactStore(folder), lambda: (self.settings, self.runtime)
        )
        asyncio.run(self._register())

    def __call__(self, *arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(self._commands, ["rules", *arguments])

    def json(self, *arguments: str) -> dict[str, Any]:
        answer = self("zh-general", *arguments, "--json")
        assert answer.exit_code == 0, answer.output
        told: dict[str, Any] = json.loads(answer.stdout)
        assert told["model"] == "zh-general"
        return told

    def said(self, *arguments: str) -> dict[str, Any]:
        said: dict[str, Any] = self.json(*arguments)["said"]
        return said

    @contextlib.asynccontextmanager
    async def _catalog(self) -> AsyncIterator[SqlCatalog]:
        catalog = await open_catalog(CatalogSettings().url_in(self._folder))
        yield catalog
        await catalog.close()

    async def _register(self) -> None:
        async with self._catalog() as catalog:
            await catalog.register(manifest("zh-general"))


@pytest.fixture
def run(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_rules_of_a_model_of_which_nothing_is_said_are_the_settings(run: Shell) -> None:
    shown = run("zh-general").stdout
    settings = ("residency.keep_alive_s", "residency.may_use_cpu", "runtime.engine", "runtime.precision")
    for word in ("keep-alive", "forever", *settings, "normal", "default", "precision on a GPU"):
        assert word in shown
    assert "own" not in shown
    run.settings = ResidencySettings(keep_alive_s=60.0, may_use_cpu=True)
    run.runtime = RuntimeSettings(engine="auto", precision="bf16")
    told = run.json()
    assert told["said"] == UNSAID
    residency = {"is_pinned": False, "keep_alive_s": 60.0, "priority": "normal", "may_use_cpu": True}
    assert told["in_force"] == residency | {
        "engine": {"cpu": "auto", "gpu": "auto"},
        "precision": {"cpu": "bf16", "gpu": "auto"},
    }


def test_rules_options_change_what_they_name_and_default_takes_it_back(run: Shell) -> None:
    said = UNSAID | {"is_pinned": True, "keep_alive_s": 0.0, "priority": "interactive", "may_use_cpu": True}
    assert run.said("--keep-alive", "0", "--pin", "--priority", "interactive", "--cpu") == said
    assert run.said() == said
    assert run.said("--no-pin", "--no-cpu") == said | {"is_pinned": False, "may_use_cpu": False}
    default = ("--keep-alive", "default", "--priority", "default", "--cpu-default")
    assert run.said(*default) == UNSAID | {"is_pinned": False}


def test_rules_engine_and_precision_are_said_of_one_model_and_taken_back(run: Shell) -> None:
    run.runtime = RuntimeSettings(engine="auto", precision="bf16")
    told = run.json("--engine", "openvino", "--precision", "fp16")
    assert told["said"] == UNSAID | {"engine": "openvino", "precision": "fp16"}
    assert told["in_force"]["engine"] == {"cpu": "openvino", "gpu": "auto"}
    assert told["in_force"]["precision"] == {"cpu": "bf16", "gpu": "fp16"}
    rows = {line.split("│")[1].strip(): line for line in run("zh-general").stdout.splitlines() if "│" in line}
    assert "runtime.precision" in rows["precision on a CPU"]
    assert "own rule" in rows["precision on a GPU"]
    assert "own rule" in rows["engine on a CPU"]
    assert "runtime.engine" in rows["engine on a GPU"]
    assert run.said("--engine", "default", "--precision", "default") == UNSAID


def test_rules_kept_for_ever_is_not_the_same_as_default(run: Shell) -> None:
    run.settings = ResidencySettings(keep_alive_s=60.0)
    told = run.json("--keep-alive", "forever")
    assert (told["said"]["keep_alive_s"], told["in_force"]["keep_alive_s"]) == ("forever", "forever")
    assert "the model's own rule" in run("zh-general").stdout


@pytest.mark.parametrize("options", [(), ("--pin",)])
def test_rules_of_an_unknown_model_say_where_the_known_ones_are(run: Shell, options: tuple[str, ...]) -> None:
    error = run("nobody", *options).exception
    assert isinstance(error, ModelUnknown)
    assert error.message.startswith("There is no model nobody; `voxgate models list`")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--keep-alive", "soon"), "not soon"),
        (("--keep-alive", "-1"), "not -1"),
        (("--keep-alive", "nan"), "not nan"),
        (("--keep-alive", "inf"), "forever"),
        (("--cpu", "--cpu-default"), "alone"),
    ],
)
def test_rules_bad_value_is_refused_and_changes_nothing(run: Shell, options: tuple[str, ...], told: str) -> None:
    error = run("zh-general", "--pin", *options).exception
    assert isinstance(error, OptionInvalid)
    assert told in error.message
    assert run.said() == UNSAID


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [("--priority", "high", "interactive"), ("--engine", "onnx", "openvino"), ("--precision", "int8", "bf16")],
)
def test_rules_unknown_choice_is_refused_with_those_there_are(run: Shell, option: str, value: str, known: str) -> None:
    answer = run("zh-general", option, value)
    assert answer.exit_code == 2
    assert known in answer.stderr
    assert run.said() == UNSAID


def test_command_help_names_every_option_and_errors_are_one_line(tmp_path: Path) -> None:
    told = shell(tmp_path, "--help").stdout
    options = ("--keep-alive", "--pin", "--no-pin", "--priority", "--cpu", "--no-cpu", "--cpu-default", "--engine")
    assert not [
        option for option in (*options, "--precision", "--json", "SECONDS|forever|default") if option not in told
    ]
    answer = shell(tmp_path, "nobody", "--keep-alive", "0")
    assert answer.returncode == 1
    assert answer.stderr.startswith("model_unknown: There is no model nobody")
    assert "Traceback" not in answer.stderr


def shell(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VOXGATE_")}
    command = [VOXGATE, "--data-dir", str(data_dir), "models", "rules", *arguments]
    return subprocess.run(
        command, env=environ | {"COLUMNS": "200"}, capture_output=True, text=True, timeout=60, check=False
    )
