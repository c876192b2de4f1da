"""The rules in force for models: what the catalogue says of one of them, else what the settings say of all."""

import math
from collections.abc import Iterator

from model_store.catalog.protocol import Catalog
from model_store.catalog.records import ModelRecord, Rules
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
    """A recent copy of what the catalogue says of models, so that a lease asks no database; and who is ruled by it."""

    def __init__(self, catalog: Catalog, settings: ResidencySettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._models: dict[str, ModelRecord] = {}
        self._given: dict[str, tuple[str, ModelRules]] = {}

    def of(self, version: str, model: str) -> ModelRules:
        """The rules of a version of that model; `changed` tells when they are others."""
        rules = in_force(self.said(model), self._settings)
        self._given[version] = model, rules
        return rules

    def said(self, model: str) -> Rules:
        """What is said of a model, which may be nothing."""
        return self._models[model].rules if model in self._models else Rules()

    async def refresh(self) -> list[tuple[str, str]]:
        """Read the catalogue now; returns each version that another has taken the traffic over from, and that one."""
        before, self._models = self._models, {model.name: model for model in await self._catalog.models()}
        pairs = ((before[name].stable, model.stable) for name, model in self._models.items() if name in before)
        return [(old, new) for old, new in pairs if old and new and old != new]

    def changed(self) -> Iterator[tuple[str, ModelRules]]:
        """Versions for which other rules hold than were given last, and those."""
        for version, (model, given) in list(self._given.items()):
            if (rules := self.of(version, model)) != given:
                yield version, rules
