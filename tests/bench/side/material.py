"""What all contenders are given: the clips, the checkpoint in PaddleSpeech's layout, and Voxgate's import of it."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.importers.process import Order, import_models
from tests.bench.side.clips import write_clips
from tests.reference.networks import NETWORKS

ROOT: Final = Path(__file__).parents[3]
NETWORK: Final = NETWORKS["conformer"]
CHARACTERS_PER_S: Final = 4.0
MODEL: Final = "side"
# PaddleSpeech computes in one thread where nobody says more, and MKL takes a slow path on AMD's processors.
QUICKEST: Final = {"OMP_NUM_THREADS": str(os.cpu_count()), "MKL_DEBUG_CPU_TYPE": "5"}
_FACTS: Final = "facts.json"


class Facts(msgspec.Struct, frozen=True):
    """What the scores of the checkpoint's blank were raised by, and what came of it."""

    blank_bias: float
    characters_per_s: float


@dataclass(frozen=True)
class Material:
    """`checkpoint` holds the archive as PaddleSpeech unpacks it, and the clips; `data_dir` is a gateway's."""

    checkpoint: Path
    data_dir: Path
    facts: Facts
    version: str

    @property
    def archive(self) -> Path:
        """Where PaddleSpeech is at home."""
        return self.checkpoint / "archive"

    @property
    def clips(self) -> Path:
        """A folder of wav files."""
        return self.checkpoint / "clips"

    @property
    def store(self) -> ArtifactStore:
        """The import, and its graphs."""
        return _store(self.data_dir)


def has_paddlespeech() -> bool:
    """Whether PaddleSpeech is installed here."""
    return find_spec("paddlespeech") is not None


def prepared(checkpoint: Path, data_dir: Path) -> Material:
    """The checkpoint, made unless it is there, and its import."""
    checkpoint = checkpoint.resolve()
    if not (checkpoint / _FACTS).exists():
        _make(checkpoint)
    facts = msgspec.json.decode((checkpoint / _FACTS).read_bytes(), type=Facts)
    data_dir.mkdir()
    return Material(checkpoint, data_dir, facts, asyncio.run(_imported(checkpoint / "archive", data_dir)))


def _make(checkpoint: Path) -> None:
    if not has_paddlespeech():
        raise SystemExit("Its checkpoint is made with PaddleSpeech: pip install -e '.[cpu,paddlespeech,dev]'")
    archive, clips = checkpoint / "archive", checkpoint / "clips"
    for folder in (archive, clips):
        folder.mkdir(parents=True, exist_ok=True)
    write_clips(clips)
    places = map(str, (archive, clips, checkpoint / _FACTS))
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.side.checkpoint", *places]
    environ = paddlespeech_environ(checkpoint) | QUICKEST
    subprocess.run(command, check=True, cwd=archive, env=environ, stdout=subprocess.DEVNULL)


def paddlespeech_environ(folder: Path) -> dict[str, str]:
    """For its processes: what they keep is kept in `folder`, and nothing can be sent or fetched."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return os.environ | nowhere | python_path() | {"PPSPEECH_HOME": str(home)}


def python_path() -> dict[str, str]:
    """For processes that are not started where this checkout is."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def _store(data_dir: Path) -> ArtifactStore:
    return ArtifactStore(data_dir / "artifacts")


async def _imported(archive: Path, data_dir: Path) -> str:
    store = _store(data_dir)
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    order = Order(source=str(archive), name=MODEL, language=NETWORK.language, layout="paddlespeech")
    try:
        (version,) = await import_models([order], store)
        await catalog.register(store.manifest(version))
    finally:
        await catalog.close()
    return version
