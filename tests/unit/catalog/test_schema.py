"""The schema: what the revisions make is what the tables say, and only databases that fit are opened."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import Connection, inspect

from model_store.catalog import schema
from model_store.catalog.engine import create_engine, for_writes
from model_store.catalog.records import Rules, RulesChange
from model_store.catalog.sql import open_catalog
from model_store.catalog.tables import Base
from model_store.errors import OptionInvalid

OPENER = """
import asyncio, sys
from model_store.catalog.sql import open_catalog
print("ready", flush=True)
sys.stdin.readline()
async def main():
    catalog = await open_catalog(sys.argv[1])
    await catalog.models()
    await catalog.close()
asyncio.run(main())
"""

DIGEST = "d" * 64
FIRST = """
INSERT INTO models VALUES ('zh', 'asr', 'zh', 'general', '2026-11-22 12:00:00.000000');
INSERT INTO versions VALUES ('DIGEST', 'zh', '{}', '2026-11-22 12:00:00.000000');
INSERT INTO rollouts VALUES ('zh', 'DIGEST');
INSERT INTO measurements VALUES ('DIGEST', 'cpu', 'fp32', 1, 2, 0.5, '2026-11-22 12:00:00.000000');
""".replace("DIGEST", DIGEST)


def url_of(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


def tables_of(file: Path) -> set[str]:
    with sqlite3.connect(file) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


async def test_upgrade_of_empty_database_gives_the_tables_of_the_code() -> None:
    engine = create_engine("sqlite+aiosqlite://")
    async with for_writes(engine).begin() as connection:
        assert await connection.run_sync(differences) != []  # the oracle sees what is missing
        await connection.run_sync(schema.upgrade)
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_downgrade_to_base_and_upgrade_again_gives_the_same() -> None:
    engine = create_engine("sqlite+aiosqlite://")
    async with for_writes(engine).begin() as connection:
        await connection.run_sync(schema.upgrade)
        await connection.run_sync(schema.downgrade, "base")
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == ["alembic_version"]
        await connection.run_sync(schema.upgrade)
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_upgrade_of_the_first_revision_loses_nothing_and_comes_back_so(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    engine = create_engine(url_of(file))
    async with for_writes(engine).begin() as connection:
        await connection.run_sync(schema.upgrade, "0001")
    with sqlite3.connect(file) as database:
        database.executescript(FIRST)
        before = list(database.iterdump())
    catalog = await open_catalog(url_of(file))
    [model] = await catalog.models()
    assert (model.name, model.stable, model.rules) == ("zh", DIGEST, Rules())
    await catalog.change_rules("zh", RulesChange(keep_alive_s="forever"))
    await catalog.close()
    async with for_writes(engine).begin() as connection:
        await connection.run_sync(schema.downgrade, "0001")
    await engine.dispose()
    with sqlite3.connect(file) as database:
        assert list(database.iterdump()) == before


async def test_upgrade_keeps_the_rules_that_an_earlier_revision_had(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    engine = create_engine(url_of(file))
    async with for_writes(engine).begin() as connection:
        await connection.run_sync(schema.upgrade, "0002")
    await engine.dispose()
    with sqlite3.connect(file) as database:
        database.executescript(FIRST)
        database.execute("INSERT INTO model_rules VALUES ('zh', TRUE, 60.0, 'batch', NULL)")
    catalog = await open_catalog(url_of(file))
    kept = Rules(is_pinned=True, keep_alive_s=60.0, priority="batch")
    assert (await catalog.model("zh")).rules == kept
    assert await catalog.change_rules("zh", RulesChange(engine="openvino")) == replace(kept, engine="openvino")
    await catalog.close()


def test_revisions_have_one_head_and_names_that_fit() -> None:
    config = Config()
    config.set_main_option("script_location", "model_store.catalog:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1
    assert all(re.fullmatch(r"[0-9a-z_]{1,32}", script.revision) for script in scripts.walk_revisions())


async def test_open_database_of_newer_code_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    await (await open_catalog(url_of(file))).close()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OptionInvalid, match=r"9999.*Upgrade voxgate") as caught:
        await open_catalog(url_of(file))
    assert caught.value.param == "catalog.url"
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


async def test_open_database_of_somebody_else_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "theirs.sqlite3"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE rollouts (id INTEGER)")
    with pytest.raises(OptionInvalid, match="holds something else") as caught:
        await open_catalog(url_of(file))
    assert str(tmp_path) not in caught.value.message
    assert tables_of(file) == {"rollouts"}


async def test_open_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database\n" * 100)
    with pytest.raises(OptionInvalid):
        await open_catalog(url_of(file))
    assert file.read_text() == "not a database\n" * 100


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "nosuch://me:secret@host/x", "sqlite+nosuch://secret", "postgresql+nosuch://me:secret@host/x"],
)
async def test_open_unusable_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        await open_catalog(url)
    assert caught.value.param == "catalog.url"
    assert "secret" not in caught.value.message


async def test_open_several_times_at_once_in_one_process_works_for_all(tmp_path: Path) -> None:
    urls = [url_of(tmp_path / "a.sqlite3"), url_of(tmp_path / "a.sqlite3"), url_of(tmp_path / "b.sqlite3"), "sqlite://"]
    for catalog in await asyncio.gather(*map(open_catalog, urls)):
        assert list(await catalog.models()) == []
        await catalog.close()


def test_open_by_several_processes_at_once_works_for_all(tmp_path: Path) -> None:
    file = tmp_path / "new" / "catalog.sqlite3"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url_of(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0, 0, 0]
    assert tables_of(file) == {"alembic_version", *Base.metadata.tables}
