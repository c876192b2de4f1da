"""Connections to the catalogue's database; all that is special about SQLite stands here."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from model_store.errors import OptionInvalid

BUSY_TIMEOUT_MS = 30_000
WRITES = "voxgate_writes"


def create_engine(url: str) -> AsyncEngine:
    """An engine for `url`; raises OptionInvalid when that is no address of a database that can be used here."""
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _sqlite_engine(address)
        return create_async_engine(address, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as exc:
        # The address may hold a password, so it is not repeated.
        raise OptionInvalid(
            f"catalog.url cannot be used ({type(exc).__name__}); write e.g. sqlite+aiosqlite:///catalog.sqlite3",
            param="catalog.url",
        ) from exc


def for_writes(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, whose transactions take SQLite's one write lock when they begin.

    A transaction that reads first and then writes would fail at once, whatever the timeout, when another process
    had written in between.
    """
    return engine.execution_options(**{WRITES: True})


def _sqlite_engine(address: URL) -> AsyncEngine:
    address = address.set(drivername="sqlite+aiosqlite")
    if address.database in (None, "", ":memory:"):
        # Such a database lives and dies with its one connection, and one connection holds one transaction.
        engine = create_async_engine(address, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)
    else:
        Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(address)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    # Python's own driver would begin transactions late and never around DDL; `_begin` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
