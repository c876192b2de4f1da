"""The operator's key as a setting: under its own variable, and never shown."""

import pytest

from admin.settings import AdminSettings
from gateway.serving import address
from gateway.settings import ServerSettings, describe, load
from model_store.errors import OptionInvalid


def test_key_has_a_variable_of_its_own_and_not_the_rooms() -> None:
    assert load(environ={"VOXGATE_BOOTSTRAP_KEY": "sesame"}).admin.bootstrap_key == "sesame"
    with pytest.raises(OptionInvalid, match="VOXGATE_BOOTSTRAP_KEY"):
        load(environ={"VOXGATE_ADMIN_BOOTSTRAP_KEY": "sesame"})
    (doc,) = [doc for doc in describe() if doc.name == "admin.bootstrap_key"]
    assert (doc.variable, doc.default) == ("VOXGATE_BOOTSTRAP_KEY", None)


@pytest.mark.parametrize("key", ["", "open sesame", "sésame", "sesame\n"])
def test_key_that_fits_no_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        load(environ={"VOXGATE_BOOTSTRAP_KEY": key})
    assert caught.value.message.startswith("VOXGATE_BOOTSTRAP_KEY is [withheld]; allowed: text like")


def test_key_from_a_file_of_the_wrong_type_is_not_shown(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text("[admin]\nbootstrap_key = 31415926\n")
    with pytest.raises(OptionInvalid) as caught:
        load(tmp_path / "mine.toml", {})
    assert "31415926" not in caught.value.message


def test_key_stands_in_no_text_of_the_settings() -> None:
    settings = load(environ={"VOXGATE_BOOTSTRAP_KEY": "sesame"})
    assert "sesame" not in f"{settings!r} {settings} {settings.admin}"
    assert repr(AdminSettings()) == "AdminSettings(bootstrap_key=None)"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104  (a name, not a bind)
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("asr.example", "http://asr.example:8080"),
    ],
)
def test_address_is_one_that_callers_on_this_machine_can_dial(host: str, url: str) -> None:
    assert address(ServerSettings(host=host)) == url
