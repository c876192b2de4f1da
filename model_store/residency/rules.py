"""The rules in force for models: what the catalogue says of one of them, else what the settings say of all."""

import math
from collections.abc import Iterator

from model_store.catalog.protocol import Catalog
from model_store.catalog.records import Rules
from model_store.residency.events import ModelRules, Priority
from model_store.residency.settings import ResidencySettings


def in_force(said: Rules, settings: ResidencySettings) -> ModelRules:
    """The rules of a model of which `said` is said."""
    keep_alive_s = settings.keep_alive_s if said.keep_alive_s is None else said.keep_alive_s
    return ModelRules(
        is_pinned=bool(said.is_pinned),
        keep_alive_s=math.inf if keep_alive_s in (None, "forever") else float(keep_alive_s),
        priority=Priority.NORMAL if said.priority is None else Priority[said.priority.upper()],
        may_use_cpu=settings.may_use_cpu if said.may_use_cpu is None else said.may_use_cpu,
    )


class Rulebook:
    """A recent copy of the catalogue's rules, so that a lease asks no database; and the versions ruled by it."""

    def __init__(self, catalog: Catalog, settings: ResidencySettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._of_model: dict[str, Rules] = {}
        self._given: dict[str, tuple[str, ModelRules]] = {}

    def of(self, version: str, model: str) -> ModelRules:
        """The rules of a version of that model; `changed` tells when they are others."""
        rules = in_force(self._of_model.get(model, Rules()), self._settings)
        self._given[version] = model, rules
        return rules

    async def refresh(self) -> None:
        """Read the catalogue now."""
        self._of_model = {model.name: model.rules for model in await self._catalog.models()}

    def changed(self) -> Iterator[tuple[str, ModelRules]]:
        """Versions for which other rules hold than were given last, and those."""
        for version, (model, given) in list(self._given.items()):
            if (rules := self.of(version, model)) != given:
                yield version, rules
