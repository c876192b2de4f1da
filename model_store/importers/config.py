"""Foreign configurations, read so that nothing in them is overlooked."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from model_store.errors import ImportFailed

T = TypeVar("T", int, float, str, bool)
Choice = TypeVar("Choice")

_MAX_BYTES = 4 << 20


class Section:
    """One mapping of a configuration; every refusal names the key and its value."""

    def __init__(self, name: str, values: Mapping[Any, Any]) -> None:
        """`name` is the way to this section, "" at the top."""
        self._name = name
        self._values = {str(key): value for key, value in values.items()}
        self._seen: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Whether something is written under `key`."""
        return key in self._values

    def raw(self, key: str) -> Any:
        """What is written under `key`, of whatever type; None when nothing is."""
        self._seen.add(key)
        return self._values.get(key)

    def take(self, key: str, default: T) -> T:
        """The value of `key`, of the type of `default`; the default is what the source's own code assumes."""
        self._seen.add(key)
        value = self._values.get(key, default)
        kind = type(default)
        is_number = kind is float and isinstance(value, int | float) and not isinstance(value, bool)
        if type(value) is not kind and not is_number:
            # YAML reads 1e-5 as text: its floats need a point.
            value = _float_or_same(value) if kind is float else value
        if type(value) is not kind and not is_number:
            raise ImportFailed(f"{self.path(key)} is {value!r}, not of type {kind.__name__}.")
        return kind(value)

    def text(self, key: str) -> str:
        """Text that may be left out or null: both read as nothing."""
        self._seen.add(key)
        return "" if self._values.get(key) is None else self.take(key, "")

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number above zero; without a default it has to be written."""
        if default is None:
            self._check_written(key)
        value = self.take(key, default or 0)
        if value < 1:
            raise ImportFailed(f"{self.path(key)} is {value}; it must be at least 1.")
        return value

    def share(self, key: str, default: float) -> float:
        """A number from 0 to 1."""
        value = self.take(key, default)
        if not 0.0 <= value <= 1.0:
            raise ImportFailed(f"{self.path(key)} is {value}; it must be from 0 to 1.")
        return value

    def choose(self, key: str, served: Mapping[Any, Choice], default: Any) -> Choice:
        """What stands for the value of `key` in `served`; refuses any other."""
        value = self._value_or(key, default)
        if not isinstance(value, str | int | None) or value not in served:
            choices = ", ".join(map(repr, served))
            raise ImportFailed(f"{self._told(key, value)}; only {choices} {_is_or_are(served)} served so far.")
        return served[value]

    def require(self, key: str, served: Any, default: Any) -> None:
        """Refuse any value but `served`; one that is not written is `default`."""
        value = self._value_or(key, default)
        if value != served or isinstance(value, bool) is not isinstance(served, bool):
            raise ImportFailed(f"{self._told(key, value)}; only {served!r} is served so far.")

    def section(self, key: str) -> "Section":
        """The mapping under `key`; empty when it is not there."""
        return self._section(key, self._value_or(key, None) or {})

    def needed_section(self, key: str) -> "Section":
        """The mapping under `key`, which the source's own code cannot do without."""
        self._check_written(key)
        return self.section(key)

    def sections(self, key: str) -> list["Section"]:
        """The mappings in the list under `key`."""
        self._check_written(key)
        values = self._value_or(key, None)
        if not isinstance(values, list):
            raise ImportFailed(f"{self.path(key)} is {values!r}, not a list.")
        return [self._section(f"{key}[{number}]", value) for number, value in enumerate(values)]

    def close(self, without_effect: Collection[str] = ()) -> None:
        """Refuse keys that nobody asked for, except those that are known to have no effect on what is served."""
        for key, value in self._values.items():
            if key not in self._seen and key not in without_effect:
                raise ImportFailed(f"{self.path(key)} is {value!r}; this key is not known, so it is not served.")

    def path(self, key: str) -> str:
        """The way to `key` from the top."""
        return f"{self._name}.{key}" if self._name else key

    def _section(self, key: str, value: Any) -> "Section":
        if not isinstance(value, dict):
            raise ImportFailed(f"{self.path(key)} is {value!r}, not a mapping.")
        return Section(self.path(key), value)

    def _value_or(self, key: str, default: Any) -> Any:
        self._seen.add(key)
        return self._values.get(key, default)

    def _told(self, key: str, value: Any) -> str:
        written = "" if key in self._values else " (not written, the source's default)"
        return f"{self.path(key)} is {value!r}{written}"

    def _check_written(self, key: str) -> None:
        if key not in self._values:
            raise ImportFailed(f"{self.path(key)} is missing; the source's own code needs it.")


def read_yaml(path: Path, name: str = "") -> Section:
    """The mapping in a YAML file, read without constructing objects, as a section `name`; raises ImportFailed."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ImportFailed(f"{path.name} has more than {_MAX_BYTES} bytes.")
        loaded = yaml.safe_load(path.read_text("utf-8"))
    # A document can nest deeper than the parser can follow.
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as exc:
        raise ImportFailed(f"{path.name} cannot be read: {_short(exc)}.") from exc
    if not isinstance(loaded, dict):
        raise ImportFailed(f"{path.name} holds no mapping.")
    return Section(name, loaded)


def _is_or_are(things: Collection[Any]) -> str:
    return "is" if len(things) == 1 else "are"


def _float_or_same(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _short(exc: Exception) -> str:
    """What is wrong, without a path of this machine."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return (str(exc).splitlines() or [type(exc).__name__])[0]
