"""The house order: which package, room and part may import which; and what the gateway's process never loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
# From the bottom up: a room imports only rooms that stand before it.
ORDER = {
    "gateway": (
        *("transcript", "text", "dispatch", "routing", "audio", "access", "pipeline", "logs", "metrics"),
        *("api", "settings", "bench"),
    ),
    "model_store": (
        *("errors", "artifacts", "catalog", "nets", "engines", "predictors", "importers"),
        *("runtime", "residency", "starter"),
    ),
    "admin": ("settings", "api", "console", "remote", "terminal", "rules", "optimize", "commands"),
}
# What joins the rooms: these may import everything in their package, and no room may import them.
COMPOSITION = {"admission", "serving", "app", "client", "doctor", "demo", "cli"}
PACKAGES = {"gateway": {"model_store"}, "admin": {"model_store"}, "model_store": set[str]()}
# The roots mount what admin has, and the settings are those of every room.
MOUNT_ADMIN = {"gateway/app.py": "admin.", "gateway/cli.py": "admin.", "gateway/settings.py": "admin.settings."}
HTTP = ("gateway/api/", "gateway/app.py", "gateway/serving.py", "gateway/admission.py", "admin/")
PADDLE = (
    *("model_store/nets/", "model_store/engines/", "model_store/importers/"),
    *("model_store/starter/", "model_store/runtime/worker.py"),
)
ONLY_IN = {
    "paddle": PADDLE,
    "paddlespeech": PADDLE,
    "paddlenlp": PADDLE,
    "openvino": ("model_store/engines/openvino.py", "model_store/engines/compression.py"),
    "paddle2onnx": ("model_store/importers/conversion.py",),
    "torch": ("model_store/starter/",),
    "pynvml": ("model_store/residency/devices.py",),
    "sqlalchemy": ("model_store/catalog/",),
    "alembic": ("model_store/catalog/",),
    "aiosqlite": ("model_store/catalog/",),
    "litestar": HTTP,
    "uvicorn": HTTP,
}


class Import(NamedTuple):
    """That the module of a file imports another, anywhere in its text."""

    file: str
    target: str

    @property
    def package(self) -> str:
        return self.file.split("/")[0]

    @property
    def room(self) -> str:
        return self.file.split("/")[1].removesuffix(".py")

    @property
    def target_package(self) -> str:
        return self.target.split(".")[0]

    @property
    def target_room(self) -> str:
        return self.target.split(".")[1] if "." in self.target else "__init__"


def imports() -> Iterator[Import]:
    """Every import of every module of the house."""
    for package in ORDER:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                yield from (Import(file, name) for name in _targets(node))


def _targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        # `from gateway import metrics` names a room, `from paddle import nn` a part of a package.
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


OURS = [one for one in imports() if one.target_package in ORDER]
THEIRS = [one for one in imports() if one.target_package in ONLY_IN]


def test_house_imports_are_found() -> None:
    assert Import("gateway/app.py", "gateway.pipeline.Pipeline") in OURS
    assert {one.target_package for one in THEIRS} >= {"paddle", "pynvml", "sqlalchemy", "litestar"}


def test_house_every_room_has_its_place() -> None:
    for package, order in ORDER.items():
        rooms = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__", "__main__"}
        rooms |= {path.parent.name for path in (ROOT / package).glob("*/*.py")}
        assert rooms <= {*order, *COMPOSITION}


def test_house_packages_import_downwards() -> None:
    wrong = [
        one
        for one in OURS
        if one.target_package != one.package
        and one.target_package not in PACKAGES[one.package]
        and not (one.file in MOUNT_ADMIN and one.target.startswith(MOUNT_ADMIN[one.file]))
    ]
    assert not wrong


def test_house_rooms_import_only_rooms_below_them() -> None:
    wrong = [one for one in OURS if one.target_package == one.package and not _is_downward(one)]
    assert not wrong


def _is_downward(one: Import) -> bool:
    if one.room in COMPOSITION or one.room == one.target_room:
        return True
    order = ORDER[one.package]
    return one.target_room in order[: order.index(one.room)]


@pytest.mark.parametrize("library", ONLY_IN)
def test_house_library_is_imported_only_where_it_belongs(library: str) -> None:
    wrong = [one for one in THEIRS if one.target_package == library and not one.file.startswith(ONLY_IN[library])]
    assert not wrong


def loaded_by(*modules: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after importing these."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_gateway_process_loads_no_paddle() -> None:
    loaded = loaded_by("gateway.app", "gateway.cli", "gateway.demo")
    assert not loaded & {"paddle", "torch", "paddlespeech", "paddlenlp", "openvino", "paddle2onnx"}
    assert "litestar" in loaded


def test_worker_process_loads_neither_database_nor_http() -> None:
    loaded = loaded_by("model_store.runtime.worker", "model_store.runtime.fork_server", "model_store.runtime.spare")
    assert not loaded & {"sqlalchemy", "alembic", "litestar", "uvicorn", "torch"}
    assert "msgspec" in loaded
