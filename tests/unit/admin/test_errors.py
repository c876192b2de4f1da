"""Every error of the tree as a problem (RFC 9457), and the same error in the other protocol's shape."""

import inspect
import json

import pytest

from admin.api.errors import MEDIA_TYPE, render
from gateway.api import errors as openai
from model_store.errors import CapacityError, DeadlineExceeded, LoadFailed, QueueFull, leaves

RESIDENCY = "/admin/v1/residency"
LEAVES = [leaf for leaf in leaves() if leaf.__module__ == "model_store.errors"]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_error_leaf_is_documented_and_says_who_raises_it(leaf):
    assert inspect.getdoc(leaf).startswith("Raised by")
    assert leaf.code.isidentifier()
    assert 400 <= leaf.status < 600


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
async def test_error_leaf_is_rendered_as_a_problem(plane, leaf):
    it = plane()
    it.failure = leaf("what to do", param="model", known=["a"])
    async with it.caller() as caller:
        answer = await caller.get(RESIDENCY, headers={"x-request-id": "r-9"})
    assert answer.status_code == leaf.status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json() == {
        "type": f"/docs#{leaf.code}",
        "title": leaf.code.replace("_", " ").capitalize(),
        "status": leaf.status,
        "detail": "what to do",
        "code": leaf.code,
        "retryable": leaf.retryable,
        "request_id": "r-9",
        "param": "model",
        "details": {"known": ["a"]},
    }
    assert ("retry-after" in answer.headers) == issubclass(leaf, CapacityError)
    assert ("www-authenticate" in answer.headers) == (leaf.status == 401)
    assert it.codes == [leaf.code]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_error_leaf_says_the_same_in_both_shapes(leaf):
    error = leaf("what to do", param="model")
    ours, theirs = render(error, "r"), openai.render(error, "r")
    assert ours.body.status == theirs.status
    assert (ours.body.code, ours.body.detail) == (theirs.body.error.code, theirs.body.error.message)
    assert (ours.body.param, ours.body.retryable) == (theirs.body.error.param, theirs.body.voxgate.retryable)
    assert ours.headers.get("retry-after") == theirs.headers.get("retry-after")


async def test_error_type_leads_to_the_row_of_the_docs_page(plane):
    async with plane().caller() as caller:
        page = (await caller.get("/docs")).text
    for leaf in LEAVES:
        assert page.count(f'id="{leaf.code}"') == 1


@pytest.mark.parametrize(("said_s", "header"), [(0.0, "1"), (1.01, "2"), (90.5, "91")])
def test_error_retry_after_is_whole_seconds_rounded_up(said_s, header):
    assert render(QueueFull("full", retry_after_s=said_s), "r").headers["retry-after"] == header


async def test_error_unforeseen_says_nothing_of_what_happened_inside(plane):
    it = plane()
    it.failure = RuntimeError("/secret/path")
    async with it.caller() as caller:
        answer = await caller.get(RESIDENCY, headers={"x-request-id": "r-9"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "r-9" in answer.json()["detail"]
    assert "secret" not in answer.text


async def test_error_with_details_that_are_no_json_is_still_an_answer(plane):
    it = plane()
    it.failure = LoadFailed("no", at=object())
    async with it.caller() as caller:
        answer = await caller.get(RESIDENCY)
    assert answer.json()["code"] == "load_failed"


def test_error_deadline_passes_its_partial_on():
    assert render(DeadlineExceeded("late", partial=["a"]), "r").body.partial == ["a"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/admin/v1/nothing", 404), ("GET", "/admin", 404), ("POST", RESIDENCY, 405), ("DELETE", RESIDENCY, 405)],
)
async def test_error_of_an_address_or_method_that_does_not_exist_is_a_problem(plane, method, path, status):
    async with plane().caller() as caller:
        answer = await caller.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["code"] == "not_found"
    assert ("GET" in answer.headers.get("allow", "")) == (status == 405)


async def test_error_elsewhere_keeps_the_shape_of_its_own_protocol(plane):
    async with plane().caller() as caller:
        answer = await caller.get("/v1/nothing")
    assert json.loads(answer.content)["error"]["code"] == "not_found"
