"""`voxgate doctor`: what this machine has, what is missing, and how to get it."""

import shutil
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.settings import Settings
from model_store.engines.cpu import best_cpu_precision
from model_store.residency.devices import discover
from model_store.residency.owner import is_owned

_MIB = 2**20
_PACKAGES = ("voxgate", "litestar", "uvicorn", "sqlalchemy", "numpy", "numba", "av")
# Either of the first two serves; the rest are wanted by some tasks alone.
_PADDLE = {"paddlepaddle": "pip install 'voxgate[cpu]'", "paddlepaddle-gpu": "see Installing on a GPU in the README"}
_EXTRAS = {
    "openvino": "pip install 'voxgate[openvino]' (faster on most CPUs)",
    "paddlespeech": "pip install 'voxgate[paddlespeech]'",
    "paddlenlp": "pip install 'voxgate[nlp]'",
    "matplotlib": "pip install 'voxgate[bench]' (pictures of voxgate bench)",
}
_TRAINING_ONLY = "Debian: apt-get install espeak-ng (only to train the starter models)"


def show(settings: Settings, console: Console) -> bool:
    """Print the findings; False when something is missing without which nothing can be served."""
    console.print(_devices(settings), _versions(), _missing())
    owned = is_owned(settings.server.data_path)
    console.print(f"A gateway {'runs' if owned else 'does not run'} on this data directory.")
    is_able = any(_version(name) for name in _PADDLE)
    if not is_able:
        console.print("[red]No Paddle is installed, so no model can be loaded.[/red]")
    return is_able


def _devices(settings: Settings) -> Table:
    table = Table("device", "what it is", "budget for models", "precision", title="Devices")
    for device in discover(settings.residency):
        precision = best_cpu_precision() if device.kind == "cpu" else "fp16"
        table.add_row(device.id, device.name, f"{device.budget_bytes // _MIB:,} MiB", precision)
    return table


def _versions() -> Table:
    table = Table("package", "version", title="Versions")
    for name in (*_PACKAGES, *(name for name in (*_PADDLE, *_EXTRAS) if _version(name))):
        table.add_row(name, _version(name) or "[red]missing[/red]")
    return table


def _missing() -> Table:
    table = Table("not here", "how to get it", title="Optional, and not here")
    for name, hint in (_PADDLE | _EXTRAS).items():
        if not _version(name):
            table.add_row(name, escape(hint))
    if shutil.which("espeak-ng") is None:
        table.add_row("espeak-ng", _TRAINING_ONLY)
    return table


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
