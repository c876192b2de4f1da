"""The gateways of the integration tests, and data directories with ten versions of a starter model."""

from pathlib import Path

import pytest

from tests.bench.residency.live import Sizes, made
from tests.bench.residency.live import measured as measure
from tests.integration.conftest import new_gateway, template
from tests.integration.live import copied

__all__ = ["new_gateway", "template"]


@pytest.fixture(scope="session")
def starters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with ten versions of a bundled model, none of them measured yet."""
    return made(tmp_path_factory.mktemp("starters") / "data")


@pytest.fixture(scope="session")
def measured(starters: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sizes]:
    """Another one, where all of them have been measured, and what they take."""
    data_dir = copied(starters, tmp_path_factory.mktemp("measured") / "data")
    return data_dir, measure(data_dir)
