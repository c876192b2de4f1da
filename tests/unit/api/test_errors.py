"""Every error of the tree, and what is not of the tree, in OpenAI's shape."""

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from gateway.api import ApiSettings, Doors, Observed, UploadLimits
from gateway.api.bodies import ErrorBody
from gateway.api.docs import error_table
from gateway.api.errors import encoded, render
from model_store.errors import CapacityError, DeadlineExceeded, NoSpeech, OptionInvalid, QueueFull, ShuttingDown, leaves

FORM = {"files": {"file": ("a.wav", b"abc")}}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
LEAVES = [leaf for leaf in leaves() if leaf.code != "no_speech" and leaf.__module__ == "model_store.errors"]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
async def test_error_of_the_tree_is_rendered_in_the_protocols_shape(inside, leaf):
    client, door = inside
    door.pipeline.script = [leaf("what to do", param="model", known=["a"])]
    response = await client.post("/v1/audio/transcriptions", **FORM, headers={"x-request-id": "r-9"})
    assert response.status_code == leaf.status
    assert response.json() == {
        "error": {"message": "what to do", "type": TYPES[leaf.status], "param": "model", "code": leaf.code},
        "voxgate": {"request_id": "r-9", "retryable": leaf.retryable, "details": {"known": ["a"]}},
    }
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "r-9"
    assert response.headers["x-should-retry"] == str(leaf.retryable).lower()
    assert ("retry-after" in response.headers) == issubclass(leaf, CapacityError)


def test_error_table_has_every_leaf_with_its_docstring():
    documented = {code: (status, meaning) for code, status, _, meaning in error_table()}
    assert documented.keys() == {leaf.code for leaf in leaves()}
    assert all(meaning.startswith("Raised by") for _, meaning in documented.values())


def test_silence_as_an_error_has_the_shape_too():
    # The door answers silence with an empty text; where it cannot, this is what stands there.
    rendered = render(NoSpeech("silence", duration_s=2.0), "r")
    assert (rendered.status, rendered.body.error.type, rendered.body.error.code) == (
        422,
        "invalid_request_error",
        "no_speech",
    )


@pytest.mark.parametrize(("said_s", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (90.5, "91")])
def test_retry_after_is_whole_seconds_rounded_up(said_s, header):
    assert render(QueueFull("full", retry_after_s=said_s), "r").headers["retry-after"] == header


async def test_unexpected_error_says_nothing_of_what_happened_inside(inside):
    client, door = inside
    door.pipeline.script = [RuntimeError("/secret/path")]
    response = await client.post("/v1/audio/transcriptions", **FORM)
    assert response.status_code == 500
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "internal_error", None)
    assert response.headers["x-request-id"] in error["message"]
    assert "secret" not in response.text


@pytest.mark.parametrize("path", ["/v1/nope", "/v1/audio/nope", "/nope", "/v1"])
async def test_address_that_does_not_exist_is_not_found_in_the_same_shape(inside, path):
    client, _ = inside
    response = await client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


async def test_method_that_does_not_exist_says_which_do(inside):
    client, _ = inside
    response = await client.get("/v1/audio/transcriptions")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "not_found")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize(
    ("status", "code", "rendered_status"),
    [(400, "option_invalid", 400), (413, "audio_too_large", 413), (500, "internal_error", 500)],
)
def test_litestars_own_error_takes_the_nearest_leaf(status, code, rendered_status):
    rendered = render(HTTPException(detail="why", status_code=status), "r")
    assert (rendered.status, rendered.body.error.code) == (rendered_status, code)


def test_error_with_details_that_are_no_json_is_still_an_answer():
    body = render(OptionInvalid("no", known={1: object()}), "r").body
    assert msgspec.json.decode(encoded(body), type=ErrorBody).error.code == "option_invalid"


def test_deadline_with_a_partial_that_is_no_transcript_passes_it_on():
    body = msgspec.json.decode(encoded(render(DeadlineExceeded("late", partial=["a"]), "r").body))
    assert body["voxgate"]["partial"] == ["a"]


async def test_pipeline_that_is_not_there_yet_is_an_error_of_the_tree():
    def stopping():
        raise ShuttingDown("The gateway is stopping.", retry_after_s=5)

    doors = Doors(UploadLimits(api=ApiSettings(), max_upload_bytes=1000), pipeline=stopping, readiness=list)
    transport = httpx.ASGITransport(Observed(Litestar(plugins=[doors])))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        response = await client.post("/v1/audio/transcriptions", **FORM)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "shutting_down")
    assert response.headers["retry-after"] == "5"
