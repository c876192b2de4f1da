"""Real gateways on data directories with small models of random weights, and sound for them."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.importers.process import Order, import_models
from tests.integration.live import Gateway, copied

SOURCE = Path(__file__).parents[1] / "data" / "wenet" / "u2pp_conformer"
LANGUAGES = ("zh", "yue", "en", "ja", "ko", "fr")
_N_SPECIAL = 3
SMALL_LIMITS = {"VOXGATE_AUDIO_MAX_UPLOAD_BYTES": "4_000_000", "VOXGATE_AUDIO_MAX_DURATION_S": "120"}

StartGateway = Callable[..., Gateway]


def rotated(units: str, by: int) -> str:
    """The units with their symbols moved on by so many places, so that each version writes another text."""
    lines = units.splitlines()
    symbols = [line.split()[0] for line in lines]
    spoken = symbols[_N_SPECIAL:]
    moved = symbols[:_N_SPECIAL] + spoken[by:] + spoken[:by]
    return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(moved))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a model for each of six languages: the same random network, each with units of its own."""
    data_dir = tmp_path_factory.mktemp("template")
    orders = []
    for number, language in enumerate(LANGUAGES):
        source = tmp_path_factory.mktemp(language)
        shutil.copytree(SOURCE, source, dirs_exist_ok=True)
        (source / "units.txt").write_text(rotated((SOURCE / "units.txt").read_text(), number))
        orders.append(Order(source=str(source), name=f"{language}-general", language=language, domain="general"))
    asyncio.run(_imported(data_dir, orders))
    return data_dir


async def _imported(data_dir: Path, orders: list[Order]) -> None:
    store = ArtifactStore(data_dir / "artifacts")
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    try:
        for digest in await import_models(orders, store):
            await catalog.register(store.manifest(digest))
    finally:
        await catalog.close()


@pytest.fixture
def new_gateway(template: Path, tmp_path: Path) -> Iterator[StartGateway]:
    """Makes gateways of the test's own, not started yet; what they leave behind fails the test."""
    made: list[Gateway] = []

    def make(environ: Mapping[str, str] | None = None, *, data_dir: Path | None = None) -> Gateway:
        gateway = Gateway(data_dir or copied(template, tmp_path / f"data{len(made)}"), environ)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.ended()


@pytest.fixture(scope="session")
def gateway(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that many tests use; they leave it as they found it."""
    gateway = Gateway(copied(template, tmp_path_factory.mktemp("shared") / "data"), SMALL_LIMITS).started()
    yield gateway
    gateway.ended()
