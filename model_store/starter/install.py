"""What comes with Voxgate, and bringing its models into a store and a catalogue: what is missing is imported."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import structlog
from msgspec import Struct, json

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import VersionRecord
from model_store.errors import ImportFailed
from model_store.importers.process import Order, import_models

log = structlog.get_logger()

BUNDLE_DIR: Final = Path(__file__).parent / "bundle"
SAMPLES_DIR: Final = Path(__file__).parent / "samples"


class Bundled(Struct, frozen=True, kw_only=True):
    """A model that comes with Voxgate, in WeNet's layout under `bundle/<directory>`."""

    directory: str
    name: str
    kind: Literal["asr", "lid"] = "asr"
    language: str | None = None
    domain: str | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return BUNDLE_DIR / self.directory


class Sample(Struct, frozen=True):
    """A recording that comes with Voxgate, what is said in it, and the domain whose model gets it right."""

    file: str
    language: str
    text: str
    domain: str = "general"

    @property
    def path(self) -> Path:
        """Where it is."""
        return SAMPLES_DIR / self.file


def bundled_samples() -> list[Sample]:
    """All of them, by language and domain."""
    return json.decode((SAMPLES_DIR / "samples.json").read_bytes(), type=list[Sample])


BUNDLED: Final = (
    Bundled(directory="lid", name="language-id", kind="lid"),
    Bundled(directory="zh", name="zh-general", language="zh", domain="general"),
    Bundled(directory="zh-finance", name="zh-finance", language="zh", domain="finance"),
    Bundled(directory="zh-medical", name="zh-medical", language="zh", domain="medical"),
    Bundled(directory="yue", name="yue-general", language="yue", domain="general"),
    Bundled(directory="en", name="en-general", language="en", domain="general"),
)


async def install(store: ArtifactStore, catalog: Catalog, bundled: Sequence[Bundled] = BUNDLED) -> int:
    """Import and register what is missing; returns how many models that were. Raises ImportFailed."""
    versions = await catalog.versions()
    missing = [model for model in bundled if not _is_installed(model, versions, store)]
    if not missing:
        return 0
    log.info("starter.importing", models=[model.name for model in missing])
    orders = [
        Order(source=str(model.path), name=model.name, language=model.language, domain=model.domain, layout="wenet")
        for model in missing
    ]
    for digest in await import_models(orders, store):
        await catalog.register(store.manifest(digest))
    return len(missing)


def _is_installed(model: Bundled, versions: Sequence[VersionRecord], store: ArtifactStore) -> bool:
    """Whether a version made of these very files is registered, and has a graph for this Paddle."""
    files = {name: _sha256(model.path / name) for name in ("final.pt", "train.yaml", "units.txt")}
    return any(
        record.model == model.name
        and files.items() <= record.manifest.source.files.items()
        and store.has_graph(record.digest)
        for record in versions
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as exc:
        raise ImportFailed(f"The bundled model lacks {path.parent.name}/{path.name}. Reinstall Voxgate.") from exc
