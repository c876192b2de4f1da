"""Settings: which source wins, how each mistake is told, and that everything is written down."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from gateway import settings
from gateway.settings import ServerSettings, SettingDoc, Settings, describe, load, markdown, toml
from model_store.errors import OptionInvalid

ROOT = Path(__file__).parents[3]
DOCS = describe()


class Room(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One setting of every type that a room may have."""

    tags: Annotated[tuple[str, ...], Meta(description="Tags.")] = ()
    aliases: Annotated[dict[str, str], Meta(description="Aliases.")] = msgspec.field(default_factory=dict)
    level: Annotated[Literal["low", "high"], Meta(description="Level.")] = "low"
    size: Annotated[int, Meta(ge=0, description="Size.")] | None = None
    ratio: Annotated[float, Meta(ge=0, le=1, description="Ratio.")] = 0.5
    is_on: Annotated[bool, Meta(description="Whether.")] = True

    def __post_init__(self) -> None:
        if self.size == 13:
            raise ValueError("room.size must not be 13")


class House(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stands in for Settings, where the test needs types that no room has yet."""

    room: Room = Room()
    server: ServerSettings = ServerSettings()


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "Settings", House)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


# Sources --------------------------------------------------------------------------------------------------------------


def test_load_without_sources_gives_defaults() -> None:
    assert load(environ={}) == Settings()


def test_load_command_beats_environment_beats_file_beats_default(file: Path) -> None:
    file.write_text('[server]\nport = 1\nhost = "file"\nlog_level = "error"\ndata_dir = "/d"\n')
    environ = {"VOXGATE_SERVER_PORT": "2", "VOXGATE_SERVER_HOST": "environment", "PATH": "/bin"}
    loaded = load(file, environ, {"server.port": 3, "server.host": None})
    server = loaded.server
    assert (server.port, server.host, server.log_level, server.log_format) == (3, "environment", "error", "json")
    assert loaded.audio == Settings().audio


def test_load_file_is_named_by_variable_unless_by_argument(file: Path, tmp_path: Path) -> None:
    file.write_text("[server]\nport = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 2\n")
    environ = {"VOXGATE_CONFIG": str(other)}
    assert load(environ=environ).server.port == 2
    assert load(file, environ).server.port == 1


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("65535", 65535), ("8_080", 8080)])
def test_load_integer_from_environment_reads_as_in_toml(text: str, port: int) -> None:
    assert load(environ={"VOXGATE_SERVER_PORT": text}).server.port == port


@pytest.mark.usefixtures("house")
def test_load_every_type_from_environment() -> None:
    loaded = load(
        environ={
            "VOXGATE_ROOM_TAGS": "a, b,,",
            "VOXGATE_ROOM_ALIASES": '{"whisper-1": "auto"}',
            "VOXGATE_ROOM_LEVEL": "high",
            "VOXGATE_ROOM_SIZE": "7",
            "VOXGATE_ROOM_RATIO": "1",
            "VOXGATE_ROOM_IS_ON": "false",
        }
    )
    expected = Room(tags=("a", "b"), aliases={"whisper-1": "auto"}, level="high", size=7, ratio=1.0, is_on=False)
    assert msgspec.structs.asdict(loaded)["room"] == expected


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "param", "said"),
    [
        ("[server]\nprot = 1\n", "server.prot", "There is no setting server.prot; the nearest is server.port."),
        ("[servr]\nport = 1\n", "[servr]", "There is no setting [servr]; the nearest is [server]."),
        ("port = 1\n", "[port]", "There is no setting [port]"),
        ("server = 1\n", "server", "server is 1; allowed: a table, [server]."),
        ("[server]\nport = 70000\n", "server.port", "server.port is 70000; allowed: integer from 0 to 65_535."),
        ('[server]\nport = "80"\n', "server.port", "server.port is '80'; allowed: integer from 0 to 65_535."),
        ("[server]\nport = 80.5\n", "server.port", "server.port is 80.5; allowed:"),
        ("[server]\nport = true\n", "server.port", "server.port is True; allowed:"),
        ('[server]\nhost = ""\n', "server.host", "server.host is ''; allowed: text length >= 1."),
        ('[server]\nlog_format = "xml"\n', "server.log_format", "'xml'; allowed: one of console, json."),
        ("[server]\ndrain_timeout_s = nan\n", "server.drain_timeout_s", "is nan; allowed: number from 0 to 3_600."),
        ("[server\n", "config", "The settings file mine.toml is not TOML"),
        ("[audio]\npause_s = 2.0\nsentence_pause_s = 1.0\n", "audio", "The settings of audio do not go together"),
    ],
)
def test_load_file_with_a_mistake_says_what_is_allowed(file: Path, text: str, param: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(OptionInvalid) as caught:
        load(file, {})
    assert said in caught.value.message
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("VOXGATE_SERVER_PROT", "1", "There is no setting VOXGATE_SERVER_PROT; the nearest is VOXGATE_SERVER_PORT."),
        ("VOXGATE_CONFIGURATION", "x", "the nearest is VOXGATE_CONFIG."),
        ("VOXGATE_SERVER_PORT", "many", "VOXGATE_SERVER_PORT is 'many'; allowed: integer from 0 to 65_535."),
        ("VOXGATE_SERVER_PORT", "", "VOXGATE_SERVER_PORT is ''; allowed: integer"),
        ("VOXGATE_SERVER_DRAIN_TIMEOUT_S", "-1", "VOXGATE_SERVER_DRAIN_TIMEOUT_S is '-1'; allowed: number"),
        ("VOXGATE_RESIDENCY_USE_GPU", "maybe", "VOXGATE_RESIDENCY_USE_GPU is 'maybe'; allowed: true or false."),
    ],
)
def test_load_variable_with_a_mistake_says_what_is_allowed(variable: str, text: str, said: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        load(environ={variable: text})
    assert said in caught.value.message


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("VOXGATE_ROOM_ALIASES", "whisper-1=auto", "allowed: a JSON object."),
        ("VOXGATE_ROOM_ALIASES", '{"whisper-1": 1}', "allowed: table."),
        ("VOXGATE_ROOM_SIZE", "-1", "allowed: integer >= 0."),
        ("VOXGATE_ROOM_SIZE", "13", "The settings of room do not go together: room.size must not be 13"),
        ("VOXGATE_ROOM_LEVEL", "x" * 500, f"{'x' * 79}...; allowed: one of high, low."),
    ],
)
def test_load_variable_of_rarer_type_with_a_mistake_says_what_is_allowed(variable: str, text: str, said: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        load(environ={variable: text})
    assert caught.value.message.endswith(said)


def test_load_command_with_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(OptionInvalid, match=r"the nearest is server\.host"):
        load(environ={}, said={"server.hots": "x"})


def test_load_missing_file_is_told_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match=r"absent\.toml cannot be read: No such file") as caught:
        load(tmp_path / "absent.toml", {})
    assert str(tmp_path) not in caught.value.message


def test_load_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionInvalid, match="is not TOML"):
        load(file, {})


# The data folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_dir", "xdg", "expected"),
    [
        ("", None, "/home/me/.local/share/voxgate"),
        ("", "/data", "/data/voxgate"),
        ("", "relative", "/home/me/.local/share/voxgate"),
        ("~/v", "/data", "/home/me/v"),
        ("/v", "/data", "/v"),
    ],
)
def test_data_path_follows_setting_then_xdg_then_home(
    monkeypatch: pytest.MonkeyPatch, data_dir: str, xdg: str | None, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if xdg is not None:
        monkeypatch.setenv("XDG_DATA_HOME", xdg)
    assert ServerSettings(data_dir=data_dir).data_path == Path(expected)


# What is written down -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doc", DOCS, ids=[doc.name for doc in DOCS])
def test_setting_has_a_description_of_one_line(doc: SettingDoc) -> None:
    assert len(doc.description) >= 10
    assert "\n" not in doc.description


def test_variables_name_one_setting_each() -> None:
    variables = [doc.variable for doc in DOCS]
    assert len(set(variables)) == len(variables)


def test_defaults_lie_within_their_own_bounds() -> None:
    defaults = {doc.name: doc.default for doc in DOCS}
    assert load(environ={}, said=defaults) == Settings()


def test_default_toml_is_the_generated_one_and_says_the_defaults(file: Path) -> None:
    written = (ROOT / "configs" / "default.toml").read_text("utf-8")
    assert written == toml(DOCS), "run: python -m gateway.settings --toml > configs/default.toml"
    assert load(ROOT / "configs" / "default.toml", {}) == Settings()
    assert set(tomllib.loads(written)) == set(Settings.__struct_fields__)


def test_readme_table_is_the_generated_one() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    _, opening, rest = readme.partition("<!-- settings -->")
    table, closing, _ = rest.partition("<!-- /settings -->")
    assert opening, "README.md lacks <!-- settings -->"
    assert closing, "README.md lacks <!-- /settings -->"
    assert table.strip() == markdown(DOCS).strip(), "put in what `python -m gateway.settings` prints"


@pytest.mark.usefixtures("house")
def test_generated_texts_of_every_type_read_back_as_the_defaults(file: Path) -> None:
    docs = describe(House)
    file.write_text(toml(docs))
    assert msgspec.structs.asdict(load(file, {})) == msgspec.structs.asdict(House())
    assert "# size = not set" in toml(docs)
    assert "| `room.size` | `VOXGATE_ROOM_SIZE` | not set | integer >= 0 | Size. |" in markdown(docs)
