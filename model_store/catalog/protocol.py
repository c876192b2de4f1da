"""The seam between the house and its database: what one may ask the catalogue, and tell it."""

from collections.abc import Sequence
from typing import Protocol

from model_store.artifacts.manifest import Manifest
from model_store.catalog.records import DeviceKind, Measurement, ModelRecord, Rules, RulesChange, VersionRecord


class Catalog(Protocol):
    """The system of record; every method may raise ModelUnavailable when its database does not answer."""

    async def models(self) -> Sequence[ModelRecord]:
        """All models, by name."""
        ...

    async def model(self, name: str) -> ModelRecord:
        """The model of that name; raises ModelUnknown."""
        ...

    async def change_rules(self, model: str, change: RulesChange) -> Rules:
        """Change some of a model's rules, and leave the others; returns what they all are then.

        Raises ModelUnknown, or OptionInvalid for a value that a rule cannot have; then nothing is changed.
        """
        ...

    async def versions(self, model: str | None = None) -> Sequence[VersionRecord]:
        """All versions, or those of one model, oldest first; none for a model that is not there."""
        ...

    async def version(self, digest: str) -> VersionRecord:
        """The version of that full digest; raises NotFound."""
        ...

    async def register(self, manifest: Manifest) -> VersionRecord:
        """Make a published version known, and the stable one of its model, which is created on first sight.

        Registering a known version again changes nothing. Raises VersionImmutable when the model of that name has
        another kind, language or domain.
        """
        ...

    async def measurement(self, version: str, device_kind: DeviceKind, precision: str) -> Measurement | None:
        """What was last measured for these, None when nothing was."""
        ...

    async def record(self, measurement: Measurement) -> None:
        """Keep a measurement in place of an earlier one of the same version, device kind and precision.

        Raises NotFound for a version that is not registered.
        """
        ...

    async def close(self) -> None:
        """Give the database's connections back; nothing may be asked afterwards."""
        ...
