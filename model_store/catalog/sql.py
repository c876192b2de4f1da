"""The catalogue over SQLAlchemy."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from model_store.artifacts.manifest import Manifest, parse
from model_store.catalog import schema
from model_store.catalog.engine import create_engine, for_writes
from model_store.catalog.records import DeviceKind, Measurement, ModelRecord, Rules, RulesChange, VersionRecord
from model_store.catalog.tables import MeasurementRow, ModelRow, RolloutRow, RulesRow, VersionRow
from model_store.errors import EditConflict, ModelUnavailable, ModelUnknown, NotFound, OptionInvalid, VersionImmutable

RETRY_AFTER_S = 5.0
_MODELS = (
    select(ModelRow, RolloutRow.stable, RulesRow)
    .outerjoin(RolloutRow, RolloutRow.model == ModelRow.name)
    .outerjoin(RulesRow, RulesRow.model == ModelRow.name)
)
T = TypeVar("T")
# Alembic keeps the migration that it runs in globals of its own, so one event loop runs one at a time.
_migrating: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def utc_now() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


async def open_catalog(url: str, *, now: Callable[[], datetime] = utc_now) -> "SqlCatalog":
    """The catalogue at `url`, its schema brought up to date; safe while another process does the same.

    Raises OptionInvalid when the address cannot be used, its database is none of ours, or a newer Voxgate wrote it.
    """
    engine = create_engine(url)
    try:
        lock = _migrating.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock, for_writes(engine).begin() as connection:
            await connection.run_sync(schema.upgrade)
    except BaseException as exc:
        await engine.dispose()
        if isinstance(exc, (SQLAlchemyError, OSError)):
            raise OptionInvalid(
                "catalog.url names a database that cannot be opened as a catalogue: it does not answer, may not be "
                "written, or holds something else.",
                param="catalog.url",
            ) from exc
        raise
    return SqlCatalog(engine, now)


class SqlCatalog:
    """Catalog in a database whose schema is up to date; get one from `open_catalog`."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now
        self._reads = async_sessionmaker(engine, expire_on_commit=False)
        self._writes = async_sessionmaker(for_writes(engine), expire_on_commit=False)

    async def models(self) -> Sequence[ModelRecord]:
        """See `Catalog`."""
        async with self._session(self._reads) as session:
            return [_model(*found) for found in await session.execute(_MODELS.order_by(ModelRow.name))]

    async def model(self, name: str) -> ModelRecord:
        """See `Catalog`."""
        async with self._session(self._reads) as session:
            found = (await session.execute(_MODELS.where(ModelRow.name == name))).one_or_none()
            if found is None:
                raise _unknown(name)
            return _model(*found)

    async def change_rules(self, model: str, change: RulesChange) -> Rules:
        """See `Catalog`."""
        return await _again_after_clash(lambda: self._change_rules(model, change))

    async def versions(self, model: str | None = None) -> Sequence[VersionRecord]:
        """See `Catalog`."""
        wanted = select(VersionRow).order_by(VersionRow.created_at, VersionRow.digest)
        if model is not None:
            wanted = wanted.where(VersionRow.model == model)
        async with self._session(self._reads) as session:
            return [_version(row) for row in await session.scalars(wanted)]

    async def version(self, digest: str) -> VersionRecord:
        """See `Catalog`."""
        async with self._session(self._reads) as session:
            return _version(await _existing(session, digest))

    async def register(self, manifest: Manifest) -> VersionRecord:
        """See `Catalog`."""
        return await _again_after_clash(lambda: self._register(manifest))

    async def measurement(self, version: str, device_kind: DeviceKind, precision: str) -> Measurement | None:
        """See `Catalog`."""
        async with self._session(self._reads) as session:
            row = await session.get(MeasurementRow, (version, device_kind, precision))
            return None if row is None else _measurement(row)

    async def record(self, measurement: Measurement) -> None:
        """See `Catalog`."""
        await _again_after_clash(lambda: self._record(measurement))

    async def close(self) -> None:
        """See `Catalog`."""
        await self._engine.dispose()

    async def _register(self, manifest: Manifest) -> VersionRecord:
        async with self._session(self._writes) as session:
            known = await session.get(VersionRow, manifest.digest)
            if known is not None:
                return _version(known)
            model = await session.get(ModelRow, manifest.name)
            if model is None:
                session.add(_model_row(manifest, self._now()))
            else:
                _require_same_model(model, manifest)
            row = VersionRow(
                digest=manifest.digest,
                model=manifest.name,
                manifest=manifest.to_json().decode(),
                created_at=self._now(),
            )
            # Flushed one after the other: the rows refer to each other by key, unknown to the unit of work.
            await session.flush()
            session.add(row)
            await session.flush()
            await session.merge(RolloutRow(model=row.model, stable=row.digest))
            return _version(row)

    async def _change_rules(self, model: str, change: RulesChange) -> Rules:
        async with self._session(self._writes) as session:
            # Locked, or of two who change different rules at once one would write the other's old value back.
            if await session.get(ModelRow, model, with_for_update=True) is None:
                raise _unknown(model)
            rules = _changed(_rules(await session.get(RulesRow, model)), change)
            await session.merge(_rules_row(model, rules))
            return rules

    async def _record(self, measurement: Measurement) -> None:
        async with self._session(self._writes) as session:
            await _existing(session, measurement.version)
            await session.merge(MeasurementRow(**msgspec.structs.asdict(measurement)))

    @asynccontextmanager
    async def _session(self, sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
        try:
            async with sessions.begin() as session:
                yield session
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeout, OSError) as exc:
            raise ModelUnavailable(
                "The catalogue's database does not answer; try again shortly.", retry_after_s=RETRY_AFTER_S
            ) from exc


async def _again_after_clash(write: Callable[[], Awaitable[T]]) -> T:
    # Where writers do not queue up, another may insert the same row first; the second time we see it.
    try:
        return await write()
    except IntegrityError:
        pass
    try:
        return await write()
    except IntegrityError as exc:
        raise EditConflict("Somebody else changed the same record in the catalogue; try again.") from exc


async def _existing(session: AsyncSession, digest: str) -> VersionRow:
    row = await session.get(VersionRow, digest)
    if row is None:
        raise NotFound("There is no such version; `voxgate models list` shows those there are.", param="version")
    return row


def _unknown(name: str) -> ModelUnknown:
    return ModelUnknown(f"There is no model {name}; `voxgate models list` shows those there are.", param="model")


def _changed(rules: Rules, change: RulesChange) -> Rules:
    try:
        return msgspec.convert(msgspec.structs.asdict(rules) | change, Rules)
    except msgspec.ValidationError as exc:
        raise OptionInvalid(f"A model cannot have these rules: {exc}.", param="rules") from exc


def _require_same_model(model: ModelRow, manifest: Manifest) -> None:
    stored = {"kind": model.kind, "language": model.language, "domain": model.domain}
    offered = {"kind": manifest.kind, "language": manifest.language, "domain": manifest.domain}
    if stored == offered:
        return
    differs = ", ".join(f"{key} {stored[key]} and not {offered[key]}" for key in stored if stored[key] != offered[key])
    raise VersionImmutable(
        f"The model {model.name} has {differs}, which never changes; import this version under another name.",
        param="name",
        stored=stored,
        offered=offered,
    )


def _model_row(manifest: Manifest, created_at: datetime) -> ModelRow:
    return ModelRow(
        name=manifest.name,
        kind=manifest.kind,
        language=manifest.language,
        domain=manifest.domain,
        created_at=created_at,
    )


def _model(row: ModelRow, stable: str | None, rules: RulesRow | None) -> ModelRecord:
    fields = {"name", "kind", "language", "domain", "created_at"}
    known = {field: getattr(row, field) for field in fields}
    return msgspec.convert({"stable": stable, "rules": _rules(rules), **known}, ModelRecord)


def _rules(row: RulesRow | None) -> Rules:
    if row is None:
        return Rules()
    known = {field: getattr(row, field) for field in Rules.__struct_fields__}
    return msgspec.convert(known | ({"keep_alive_s": "forever"} if row.keep_alive_s == math.inf else {}), Rules)


def _rules_row(model: str, rules: Rules) -> RulesRow:
    known = msgspec.structs.asdict(rules)
    return RulesRow(model=model, **known | ({"keep_alive_s": math.inf} if rules.keep_alive_s == "forever" else {}))


def _version(row: VersionRow) -> VersionRecord:
    manifest = parse(row.manifest.encode())
    return VersionRecord(digest=row.digest, model=row.model, manifest=manifest, created_at=row.created_at)


def _measurement(row: MeasurementRow) -> Measurement:
    return msgspec.convert({field: getattr(row, field) for field in Measurement.__struct_fields__}, Measurement)
