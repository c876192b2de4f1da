"""The catalogue's tables. Whatever changes here needs a revision in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, read back in UTC from every database.

    SQLite has no time zones and drops an offset without a word, so what reaches it is made UTC first.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC; raises ValueError for a naive moment, which nobody could place."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment in the catalogue needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC; what SQLite gives back naive was UTC when it went in."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that a later revision can drop it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime}


class ModelRow(Base):
    """A model; what makes it that model (kind, language, domain) never changes."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    language: Mapped[str | None] = mapped_column(String(35))
    domain: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class VersionRow(Base):
    """A version. `manifest` is its canonical JSON as text: a JSON column would reorder it, and break its digest."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("model", "digest"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.name"))
    manifest: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class RolloutRow(Base):
    """Which version of a model takes the traffic.

    Apart from `models`, because models and versions would else refer to each other in a circle. The key over both
    columns keeps a model from serving another model's version.
    """

    __tablename__ = "rollouts"
    __table_args__ = (ForeignKeyConstraint(["model", "stable"], ["versions.model", "versions.digest"]),)

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    stable: Mapped[str] = mapped_column(String(64))


class RulesRow(Base):
    """What is said about a model, NULL where nothing is. `keep_alive_s` is infinite for "forever".

    Apart from `models`, so that no revision has to rebuild a table that others refer to, as SQLite would.
    """

    __tablename__ = "model_rules"

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    is_pinned: Mapped[bool | None] = mapped_column(Boolean)
    keep_alive_s: Mapped[float | None] = mapped_column(Double)
    priority: Mapped[str | None] = mapped_column(String(16))
    may_use_cpu: Mapped[bool | None] = mapped_column(Boolean)
    engine: Mapped[str | None] = mapped_column(String(16))
    precision: Mapped[str | None] = mapped_column(String(16))


class MeasurementRow(Base):
    """What loading a version took, keyed by all that it depends on."""

    __tablename__ = "measurements"

    version: Mapped[str] = mapped_column(ForeignKey("versions.digest"), primary_key=True)
    device_kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    precision: Mapped[str] = mapped_column(String(16), primary_key=True)
    steady_bytes: Mapped[int] = mapped_column(BigInteger)
    peak_bytes: Mapped[int] = mapped_column(BigInteger)
    load_s: Mapped[float] = mapped_column(Double)
    measured_at: Mapped[datetime]
