"""What hears the recordings: the full-size checkpoint, and the bundled model for Mandarin."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.importers.process import Order, import_models
from model_store.starter.install import BUNDLE_DIR
from tests.bench.long.recording import write_recording, write_segments
from tests.bench.side.material import MODEL, Facts, Material, prepared

FULL: Final = "full size"
STARTER: Final = "starter"
NAMES: Final = (FULL, STARTER)


class Subject(NamedTuple):
    """A model; the clips of its material are segments of the recording. `speech_s` is in all segments together."""

    name: str
    material: Material
    recording: Path
    speech_s: float


def subjects(names: Sequence[str], checkpoint: Path | None, minutes: float, folder: Path) -> list[Subject]:
    """Those of these names, imported into data directories in `folder`."""
    clips = folder / "clips"
    clips.mkdir()
    recording = write_recording(folder / "recording.wav", minutes)
    speech_s = write_segments(recording, clips)
    return [
        Subject(name, replace(_imported(name, checkpoint, folder), checkpoint=folder), recording, speech_s)
        for name in names
    ]


def _imported(name: str, checkpoint: Path | None, folder: Path) -> Material:
    if name == FULL:
        return prepared(checkpoint or folder / "checkpoint", folder / "full")
    data_dir = folder / "starter"
    data_dir.mkdir()
    return Material(folder, data_dir, Facts(0.0, 0.0), asyncio.run(_import_starter(data_dir)))


async def _import_starter(data_dir: Path) -> str:
    """Under the name of the other one, by which it is asked for."""
    store = ArtifactStore(data_dir / "artifacts")
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    try:
        order = Order(source=str(BUNDLE_DIR / "zh"), name=MODEL, language="zh", layout="wenet")
        (version,) = await import_models([order], store)
        await catalog.register(store.manifest(version))
    finally:
        await catalog.close()
    return version
