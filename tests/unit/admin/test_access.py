"""Who gets into /admin, with an operator's key and without one."""

import pytest
from structlog.testing import capture_logs

from gateway.admission import Admission
from gateway.serving import Server
from gateway.settings import ServerSettings

RESIDENCY = "/admin/v1/residency"
EVERYWHERE = [
    *(("GET", RESIDENCY), ("GET", f"{RESIDENCY}/"), ("POST", RESIDENCY), ("OPTIONS", RESIDENCY)),
    *(("GET", "/admin/v1/nothing"), ("GET", "/admin")),
]


def bearer(key):
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.7", "::1", None])
async def test_access_with_the_key_is_for_everybody_who_has_it(plane, key, peer):
    async with plane(key).caller(peer=peer, host="voxgate.example") as caller:
        answer = await caller.get(RESIDENCY, headers=bearer(key))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize(
    ("headers", "code", "challenge"),
    [
        ({}, "key_missing", "Bearer"),
        ({"authorization": "Bearer"}, "key_missing", "Bearer"),
        ({"authorization": "Bearer   "}, "key_missing", "Bearer"),
        ({"authorization": "Basic c2VzYW1lOg=="}, "key_missing", "Bearer"),
        ({"authorization": "Bearer sesame"}, "key_invalid", 'Bearer error="invalid_token"'),
        ({"authorization": "Bearer sesame-sesame-sesame-"}, "key_invalid", 'Bearer error="invalid_token"'),
        ({"authorization": "Bearer SESAME-SESAME-SESAME"}, "key_invalid", 'Bearer error="invalid_token"'),
        ({"authorization": b"Bearer s\xe9same"}, "key_invalid", 'Bearer error="invalid_token"'),
        ({"x-api-key": "sesame-sesame-sesame"}, "key_missing", "Bearer"),
    ],
)
async def test_access_without_the_right_key_is_refused_everywhere(plane, key, method, path, headers, code, challenge):
    async with plane(key).caller() as caller:
        answer = await caller.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == challenge


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_access_scheme_is_read_in_any_case(plane, key, scheme):
    async with plane(key).caller() as caller:
        answer = await caller.get(RESIDENCY, headers={"authorization": f"{scheme} {key}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080"])
async def test_access_without_a_key_set_is_for_this_machine(plane, peer, host):
    async with plane().caller(peer=peer, host=host) as caller:
        assert (await caller.get(RESIDENCY)).status_code == 200


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.0.1", "::ffff:10.0.0.7", "2001:db8::1", "nonsense", None])
async def test_access_without_a_key_set_is_refused_to_other_machines_everywhere(plane, method, path, peer):
    async with plane().caller(peer=peer) as caller:
        answer = await caller.request(method, path, headers=bearer("guess"))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    assert "VOXGATE_BOOTSTRAP_KEY" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.7"])
async def test_access_headers_of_proxies_never_help_and_on_loopback_harm(plane, header, peer):
    async with plane().caller(peer=peer) as caller:
        answer = await caller.get(RESIDENCY, headers={header: "127.0.0.1"})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", "127.0.0.1.evil.example"])
async def test_access_by_a_foreign_name_that_leads_to_this_machine_is_refused(plane, host):
    async with plane().caller(host=host) as caller:
        assert (await caller.get(RESIDENCY)).status_code == 403


@pytest.mark.parametrize("host", ["", "[", "[::1", ":8080", "evil.example/@localhost", "localhost@evil.example"])
async def test_access_by_a_name_that_is_none_is_refused(plane, host):
    async with plane().caller() as caller:
        assert (await caller.get(RESIDENCY, headers={"host": host})).status_code == 403


async def test_access_refused_is_logged_with_the_peer_and_without_the_key(plane, key):
    with capture_logs() as lines:
        async with plane(key).caller(peer="10.0.0.7") as caller:
            await caller.get(RESIDENCY, headers=bearer("guessed-key"))
    (refused,) = [line for line in lines if line["event"] == "admin.refused"]
    assert (refused["code"], refused["peer"], refused["path"]) == ("key_invalid", "10.0.0.7", RESIDENCY)
    assert not [line for line in lines if "guessed-key" in repr(line) or key in repr(line)]


async def test_access_of_other_addresses_needs_no_key(plane, key):
    async with plane(key).caller(peer="10.0.0.7", host="voxgate.example") as caller:
        assert (await caller.get("/healthz")).status_code == 200
        unknown = await caller.get("/administration")
    assert unknown.json()["error"]["code"] == "not_found"


async def test_access_goes_by_a_peer_that_the_server_lets_no_header_change(monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    peers = []

    async def app(scope, receive, send):
        peers.append(scope["client"])

    server = Server(app, Admission(), ServerSettings(), lambda: None)
    server.config.load()
    headers = [(b"x-forwarded-for", b"127.0.0.1")]
    await server.config.loaded_app({"type": "http", "client": ("10.0.0.7", 1), "headers": headers}, None, None)
    assert peers == [("10.0.0.7", 1)]
