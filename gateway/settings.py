"""All settings of Voxgate: each room's own struct under the room's name, from defaults, a TOML file, the environment.

`python -m gateway.settings` prints the README's table, `python -m gateway.settings --toml` prints configs/default.toml.
"""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta, Struct, inspect

from admin.settings import AdminSettings
from gateway.api.settings import ApiSettings
from gateway.audio.settings import AudioSettings
from gateway.dispatch.settings import DispatchSettings
from gateway.pipeline import PipelineSettings
from gateway.routing.settings import RoutingSettings
from model_store.catalog.settings import CatalogSettings
from model_store.errors import OptionInvalid
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings

PREFIX = "VOXGATE_"
CONFIG_VARIABLE = "VOXGATE_CONFIG"
NOTHING_SAID: Mapping[str, object] = MappingProxyType({})
SHOWN_CHARACTERS = 80
WITHHELD = "[withheld]"


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the server as a whole."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on; 0.0.0.0 is every interface.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8080
    drain_timeout_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long requests in flight may go on after SIGTERM.")
    ] = 30.0
    data_dir: Annotated[
        str,
        Meta(
            description="Folder of models, catalogue and sockets; empty: voxgate in $XDG_DATA_HOME or ~/.local/share.",
        ),
    ] = ""
    starter_models: Annotated[
        bool, Meta(description="Whether the small bundled models are imported and served where they are missing.")
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least serious events that are logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], Meta(description="One JSON object a line for machines, or colours for people.")
    ] = "json"

    @property
    def data_path(self) -> Path:
        """The folder itself, absolute; it need not exist yet."""
        if self.data_dir:
            return Path(self.data_dir).expanduser().absolute()
        # The XDG specification has relative values ignored.
        said = Path(os.environ.get("XDG_DATA_HOME", ""))
        return (said if said.is_absolute() else Path("~/.local/share").expanduser()) / "voxgate"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of every room, under the room's name."""

    server: ServerSettings = ServerSettings()
    api: ApiSettings = ApiSettings()
    audio: AudioSettings = AudioSettings()
    pipeline: PipelineSettings = PipelineSettings()
    routing: RoutingSettings = RoutingSettings()
    dispatch: DispatchSettings = DispatchSettings()
    residency: ResidencySettings = ResidencySettings()
    runtime: RuntimeSettings = RuntimeSettings()
    catalog: CatalogSettings = CatalogSettings()
    admin: AdminSettings = AdminSettings()


class SettingDoc(Struct, frozen=True, kw_only=True):
    """One setting as a reader meets it; `name` is `room.field`, `bounds` is empty where every value will do."""

    name: str
    variable: str
    type: str
    default: Any
    description: str
    bounds: str


# Reading --------------------------------------------------------------------------------------------------------------


def load(
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    said: Mapping[str, object] = NOTHING_SAID,
) -> Settings:
    """The settings in force: the last of default, file, environment, command line that says something wins.

    `config` is the TOML file, else the one that VOXGATE_CONFIG names, else there is none. `said` holds what the
    command line said, by `room.field`; None there is silence. Raises OptionInvalid naming the setting.
    """
    file = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    values = {**_from_file(file), **_from_environment(environ), **_from_command(said)}
    return _compose(values)


def rooms(settings: type[Struct] | None = None) -> dict[str, type[Struct]]:
    """The settings struct of each room, by its name; of `Settings` if None."""
    return {field.name: field.type for field in msgspec.structs.fields(settings or Settings)}


def _fields() -> dict[str, Any]:
    return {
        f"{room}.{field.name}": field.type
        for room, struct in rooms().items()
        for field in msgspec.structs.fields(struct)
    }


def _from_file(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        tables = tomllib.loads(file.expanduser().read_text("utf-8"))
    except OSError as exc:
        raise OptionInvalid(f"The settings file {file.name} cannot be read: {exc.strerror}.", param="config") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise OptionInvalid(f"The settings file {file.name} is not TOML: {exc}.", param="config") from exc
    said = {name: value for room, table in tables.items() for name, value in _entries(room, table)}
    return {name: _checked(name, name, value, is_strict=True) for name, value in said.items()}


def _entries(room: str, table: object) -> Iterator[tuple[str, object]]:
    if room not in rooms():
        _refuse_unknown(f"[{room}]", [f"[{known}]" for known in rooms()])
    if not isinstance(table, dict):
        raise OptionInvalid(f"{room} is {_shown(table)}; allowed: a table, [{room}].", param=room)
    yield from ((f"{room}.{field}", value) for field, value in table.items())


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {_variable(name, kind): name for name, kind in _fields().items()}
    values = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in names:
            _refuse_unknown(variable, [*names, CONFIG_VARIABLE])
        name = names[variable]
        values[name] = _checked(name, variable, _parsed(name, variable, text), is_strict=False)
    return values


def _from_command(said: Mapping[str, object]) -> dict[str, object]:
    return {name: _checked(name, name, value, is_strict=True) for name, value in said.items() if value is not None}


def _parsed(name: str, variable: str, text: str) -> object:
    """Lists are written with commas, tables as JSON, integers as in TOML; the rest stays the text that it is."""
    kind = _plain(inspect.type_info(_fields()[name]))
    if isinstance(kind, inspect.IntType):
        return text.replace("_", "")
    if isinstance(kind, inspect.CollectionType):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(kind, inspect.DictType):
        try:
            return json.loads(text)
        except ValueError as exc:
            raise OptionInvalid(f"{variable} is {_shown(text)}; allowed: a JSON object.", param=name) from exc
    return text


def _checked(name: str, source: str, value: object, *, is_strict: bool) -> object:
    """`value` as the setting's type; `source` is what the operator wrote, the setting or its variable."""
    if name not in _fields():
        _refuse_unknown(name, list(_fields()))
    kind = _fields()[name]
    try:
        return msgspec.convert(value, kind, strict=is_strict)
    except msgspec.ValidationError as exc:
        info = inspect.type_info(kind)
        allowed = _allowed(_type_text(info), _bounds(info))
        shown = WITHHELD if _extra(info).get("is_secret") else _shown(value)
        raise OptionInvalid(f"{source} is {shown}; allowed: {allowed}.", param=name) from (
            None if shown is WITHHELD else exc
        )


def _compose(values: Mapping[str, object]) -> Settings:
    composed: dict[str, Any] = {}
    for room, struct in rooms().items():
        mine = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{room}.")}
        try:
            composed[room] = struct(**mine)
        except ValueError as exc:  # from a room that holds two of its settings against each other
            raise OptionInvalid(f"The settings of {room} do not go together: {exc}", param=room) from exc
    return Settings(**composed)


def _refuse_unknown(name: str, known: Sequence[str]) -> NoReturn:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise OptionInvalid(f"There is no setting {name}; the nearest is {nearest}.", param=name, nearest=nearest)


def _variable(name: str, kind: Any) -> str:
    """Of the room and the field, where the setting does not say another one."""
    said = _extra(inspect.type_info(kind)).get("variable")
    return str(said or PREFIX + name.replace(".", "_").upper())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


# Describing -----------------------------------------------------------------------------------------------------------


def describe(settings: type[Struct] | None = None) -> list[SettingDoc]:
    """Every setting, room by room, in the order of the structs."""
    return [_doc(room, field) for room, struct in rooms(settings).items() for field in msgspec.structs.fields(struct)]


def markdown(docs: Iterable[SettingDoc]) -> str:
    """The README's table."""
    lines = ["| Setting | Variable | Default | Allowed | What it is |", "|---|---|---|---|---|"]
    for doc in docs:
        allowed = _allowed(doc.type, doc.bounds)
        default = "not set" if doc.default is None else f"`{_toml(doc.default)}`"
        cells = [f"`{doc.name}`", f"`{doc.variable}`", default, allowed, doc.description]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def toml(docs: Iterable[SettingDoc]) -> str:
    """The text of configs/default.toml: every setting with its description and default."""
    lines = [
        "# Every setting with its default. Copy what you change into a file of your own, and name that file with",
        f"# --config or {CONFIG_VARIABLE}; the variable named beside a setting wins over the file.",
        "# Written by `python -m gateway.settings --toml`; a test compares the two.",
    ]
    last_room = ""
    for doc in docs:
        room, _, field = doc.name.partition(".")
        lines += ["", f"[{room}]"] if room != last_room else []
        last_room = room
        lines += [f"# {doc.description}", f"# {doc.variable}: {_allowed(doc.type, doc.bounds)}"]
        lines += [f"# {field} = not set" if doc.default is None else f"{field} = {_toml(doc.default)}"]
    return "\n".join(lines) + "\n"


def _doc(room: str, field: msgspec.structs.FieldInfo) -> SettingDoc:
    info = inspect.type_info(field.type)
    name = f"{room}.{field.name}"
    return SettingDoc(
        name=name,
        variable=_variable(name, field.type),
        type=_type_text(info),
        default=field.default_factory() if field.default is msgspec.NODEFAULT else field.default,
        description=_description(info),
        bounds=_bounds(info),
    )


def _description(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {}).get("description", "")) or _description(info.type)
    if isinstance(info, inspect.UnionType):
        return next(filter(None, map(_description, info.types)), "")
    return ""


def _extra(info: inspect.Type) -> dict[str, Any]:
    """What a setting says for us alone: `variable`, where that is not the usual one; `is_secret`."""
    if isinstance(info, inspect.Metadata):
        return info.extra or _extra(info.type)
    if isinstance(info, inspect.UnionType):
        return next(filter(None, map(_extra, info.types)), {})
    return {}


def _plain(info: inspect.Type) -> inspect.Type:
    """The type without its description, and without the None beside it."""
    if isinstance(info, inspect.Metadata):
        return _plain(info.type)
    if isinstance(info, inspect.UnionType):
        return _plain(next(kind for kind in info.types if not isinstance(_plain(kind), inspect.NoneType)))
    return info


def _type_text(info: inspect.Type) -> str:
    kind = _plain(info)
    names = {
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "true or false",
        inspect.StrType: "text",
        inspect.DictType: "table",
        inspect.LiteralType: "one of",
    }
    return "list" if isinstance(kind, inspect.CollectionType) else names[type(kind)]


def _bounds(info: inspect.Type) -> str:
    kind = _plain(info)
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(map(str, kind.values))
    if isinstance(kind, (inspect.IntType, inspect.FloatType)) and kind.ge is not None and kind.le is not None:
        return f"from {kind.ge:_} to {kind.le:_}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
    parts = [f"{sign} {bound:_}" for name, sign in signs.items() if (bound := getattr(kind, name, None)) is not None]
    pattern = getattr(kind, "pattern", None)
    return ", ".join(parts + ([f"like {pattern}"] if pattern else []))


def _allowed(kind: str, bounds: str) -> str:
    return f"{kind} {bounds}".strip()


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (tuple, list, set, frozenset)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:_}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(toml(describe()) if "--toml" in sys.argv[1:] else markdown(describe()))
