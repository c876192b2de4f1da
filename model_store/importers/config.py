"""Foreign configurations, read so that nothing in them is overlooked."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from model_store.errors import ImportFailed

T = TypeVar("T", int, float, str, bool)

_MAX_BYTES = 1 << 20


class Section:
    """One mapping of a configuration; every refusal names the key and its value."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        """`name` is the way to this section, "" at the top."""
        self._name = name
        self._values = dict(values)
        self._seen: set[str] = set()

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
            raise ImportFailed(f"{self._path(key)} is {value!r}, not of type {kind.__name__}.")
        return kind(value)

    def take_count(self, key: str, default: int) -> int:
        """A whole number above zero."""
        value = self.take(key, default)
        if value < 1:
            raise ImportFailed(f"{self._path(key)} is {value}; it must be at least 1.")
        return value

    def require(self, key: str, served: Any, default: Any) -> None:
        """Refuse any value but `served`; one that is not written is `default`."""
        self._seen.add(key)
        value = self._values.get(key, default)
        if value != served or isinstance(value, bool) is not isinstance(served, bool):
            written = "" if key in self._values else " (not written, the source's default)"
            raise ImportFailed(f"{self._path(key)} is {value!r}{written}; only {served!r} is served so far.")

    def section(self, key: str) -> "Section":
        """The mapping under `key`; empty when it is not there."""
        self._seen.add(key)
        value = self._values.get(key) or {}
        if not isinstance(value, dict):
            raise ImportFailed(f"{self._path(key)} is {value!r}, not a mapping.")
        return Section(self._path(key), value)

    def close(self, without_effect: Collection[str]) -> None:
        """Refuse keys that nobody asked for, except those that are known to have no effect on what is served."""
        for key, value in self._values.items():
            if key not in self._seen and key not in without_effect:
                raise ImportFailed(f"{self._path(key)} is {value!r}; this key is not known, so it is not served.")

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def read_yaml(path: Path) -> Section:
    """The mapping in a YAML file, read without constructing objects; raises ImportFailed."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ImportFailed(f"{path.name} has more than {_MAX_BYTES} bytes.")
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ImportFailed(f"{path.name} cannot be read: {_short(exc)}.") from exc
    if not isinstance(loaded, dict):
        raise ImportFailed(f"{path.name} holds no mapping.")
    return Section("", {str(key): value for key, value in loaded.items()})


def _float_or_same(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _short(exc: Exception) -> str:
    """What is wrong, without a path of this machine."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return str(exc).splitlines()[0]
