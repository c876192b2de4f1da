"""The residency address: what it answers, and how it is described."""

import msgspec

from model_store.residency.view import ResidencyView

RESIDENCY = "/admin/v1/residency"


async def test_residency_answers_the_view_of_the_moment(plane, view):
    async with plane().caller() as caller:
        answer = await caller.get(RESIDENCY)
    assert answer.headers["content-type"] == "application/json"
    assert msgspec.json.decode(answer.content, type=ResidencyView) == view
    assert answer.json()["residents"][0]["keep_alive_s"] is None


async def test_residency_is_described_with_its_key_and_its_problems(plane):
    async with plane().caller() as caller:
        schema = (await caller.get("/openapi.json")).json()
    operation = schema["paths"][RESIDENCY]["get"]
    assert operation["security"] == [{"operator": []}]
    assert schema["components"]["securitySchemes"]["operator"]["scheme"] == "bearer"
    assert {"200", "401", "403", "503"} <= operation["responses"].keys()
    assert "application/problem+json" in operation["responses"]["401"]["content"]
    bodies = schema["components"]["schemas"]
    for name in (
        "ResidencyView",
        "DeviceView",
        "ResidentView",
        "WaitingView",
        "BreakerView",
        "DecisionView",
        "Problem",
    ):
        assert all("description" in field or "$ref" in field for field in bodies[name]["properties"].values()), name


async def test_residency_is_on_the_docs_page(plane):
    async with plane().caller() as caller:
        page = (await caller.get("/docs")).text
    assert RESIDENCY in page
    assert "reserved_bytes" in page
    assert "/v1/audio/transcriptions" in page
