"""What is special about the catalogue in an SQLite file."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from model_store.catalog.engine import BUSY_TIMEOUT_MS, create_engine, for_writes
from model_store.catalog.settings import DATABASE_FILE, CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.catalog.tables import UtcDateTime
from model_store.errors import ModelUnavailable

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / DATABASE_FILE


def insert_model(database: sqlite3.Connection, created_at: str) -> None:
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("INSERT INTO models VALUES ('zh', 'asr', 'zh', 'general', ?)", (created_at,))


async def test_connections_have_the_pragmas(file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")  # the driver's name may be left out
    async with engine.connect() as connection:
        found = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    await engine.dispose()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_MS}


async def test_rollout_to_another_models_version_is_impossible(file: Path) -> None:
    await (await open_catalog(f"sqlite:///{file}")).close()
    engine = create_engine(f"sqlite:///{file}")
    async with for_writes(engine).connect() as connection:
        for name in ("a", "b"):
            await connection.execute(text(f"INSERT INTO models VALUES ('{name}', 'asr', 'zh', 'x', '2026-01-01')"))  # noqa: S608
        await connection.execute(text("INSERT INTO versions VALUES ('d', 'a', '{}', '2026-01-01')"))
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO rollouts VALUES ('b', 'd')"))
    await engine.dispose()


async def test_catalog_reopened_has_what_was_there(file: Path) -> None:
    first = await open_catalog(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        insert_model(database, "2026-11-22 12:00:00.000000")
    await first.close()
    second = await open_catalog(f"sqlite:///{file}")
    [model] = await second.models()
    await second.close()
    assert (model.name, model.stable, model.created_at) == ("zh", None, NOON)


async def test_catalog_whose_database_is_spoiled_is_unavailable_and_retryable(file: Path) -> None:
    catalog = await open_catalog(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE rollouts")
    with pytest.raises(ModelUnavailable) as caught:
        await catalog.models()
    await catalog.close()
    assert caught.value.retryable
    assert "rollouts" not in caught.value.message


def test_moment_of_another_zone_is_bound_as_utc() -> None:
    bound = UtcDateTime().process_bind_param(NOON.astimezone(timezone(timedelta(hours=-5))), sqlite.dialect())
    assert bound is not None
    assert (bound, bound.hour, bound.utcoffset()) == (NOON, 12, timedelta(0))


def test_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), sqlite.dialect())


def test_settings_empty_url_means_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert CatalogSettings().url_in(tmp_path) == f"sqlite+aiosqlite:///{tmp_path / DATABASE_FILE}"
    assert CatalogSettings(url="sqlite://").url_in(tmp_path) == "sqlite://"
