"""What operators ask, the line in the log, the request's id, the metrics and the documentation page."""

import re

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from gateway.api.form import FIELDS, wire_name
from model_store.errors import NoSpeech, WorkerLost, leaves

URL = "/v1/audio/transcriptions"
FORM = {"files": {"file": ("call-with-anna.wav", b"abc")}}


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_healthz_answers_while_not_ready(inside):
    client, door = inside
    door.reasons = ["no worker yet"]
    assert (await client.get("/healthz")).json()["status"] == "alive"


async def test_readyz_follows_the_reasons(inside):
    client, door = inside
    door.reasons = ["the fork server is starting"]
    response = await client.get("/readyz")
    assert (response.status_code, response.json()["reasons"]) == (503, ["the fork server is starting"])
    door.reasons = []
    assert (await client.get("/readyz")).status_code == 200


async def test_root_says_where_to_read_on(inside):
    client, _ = inside
    about = (await client.get("/")).json()
    assert about["name"] == "voxgate"
    assert (await client.get(about["docs"])).status_code == 200
    assert (await client.get(about["openapi"])).status_code == 200


@pytest.mark.parametrize("said", ["a", "job-7/part:2.1_x", "x" * 128])
async def test_request_id_that_is_sane_is_kept(inside, said):
    client, _ = inside
    assert (await client.get("/healthz", headers={"x-request-id": said})).headers["x-request-id"] == said


@pytest.mark.parametrize("said", ["", "x" * 129, "a b", "a;b", 'a"b', "é", "a\tb"])
async def test_request_id_that_is_not_sane_is_made_anew(inside, said):
    client, _ = inside
    answer = await client.get("/healthz", headers={"x-request-id": said.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_log_line_has_facts_and_neither_text_nor_file_name(inside):
    client, _ = inside
    with capture_logs() as lines:
        await client.post(f"{URL}?key=secret", **FORM, headers={"x-request-id": "r-5"})
    (line,) = lines
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "path": URL,
        "status": 200,
        "code": None,
        "model": "zh-general",
        "language": "zh",
        "audio_s": 4.5,
    }


async def test_log_of_a_probe_is_debug_only(inside):
    client, _ = inside
    with capture_logs() as lines:
        await client.get("/healthz")
    assert [line["log_level"] for line in lines] == ["debug"]


async def test_log_of_what_broke_has_the_traceback(inside):
    client, door = inside
    door.pipeline.script = [RuntimeError("inside")]
    with capture_logs() as lines:
        await client.post(URL, **FORM)
    failed = next(line for line in lines if line["event"] == "request failed")
    assert isinstance(failed["exc_info"], RuntimeError)


async def test_metrics_count_requests_stages_audio_and_errors(inside):
    client, door = inside
    counted = {
        "voxgate_requests_total": {"route": URL, "status": "200", "code": "ok"},
        "voxgate_request_seconds_count": {"route": URL},
        "voxgate_stage_seconds_count": {"stage": "decode"},
        "voxgate_audio_seconds_total": {"language": "zh"},
        "voxgate_transcripts_total": {"model": "zh-general", "temperature": "warm"},
        "voxgate_upload_bytes_count": {},
        "voxgate_errors_total": {"code": "worker_lost"},
    }
    before = {name: sample(name, **labels) for name, labels in counted.items()}
    await client.post(URL, **FORM)
    door.pipeline.script = [WorkerLost("lost")]
    await client.post(URL, **FORM)
    grown = {name: sample(name, **labels) - before[name] for name, labels in counted.items()}
    assert list(grown.values()) == [1, 2, 1, 4.5, 1, 2, 1]


async def test_metrics_error_in_a_stream_counts_though_its_status_is_200(inside, samples):
    client, door = inside
    door.pipeline.script = [samples.segment(0, "你好", 0, 1), WorkerLost("lost")]
    labels = {"route": URL, "status": "200", "code": "worker_lost"}
    before = sample("voxgate_requests_total", **labels)
    await client.post(URL, **FORM, data={"stream": "true"})
    assert sample("voxgate_requests_total", **labels) - before == 1


async def test_metrics_of_unknown_addresses_share_one_label(inside):
    client, _ = inside
    labels = {"route": "unmatched", "status": "404", "code": "not_found"}
    before = sample("voxgate_requests_total", **labels)
    for path in ("/v1/a", "/v1/b"):
        await client.get(path)
    assert sample("voxgate_requests_total", **labels) - before == 2


async def test_metrics_page_has_a_help_text_for_each_of_ours(inside):
    client, _ = inside
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = [family for family in text_string_to_metric_families(response.text) if "voxgate" in family.name]
    assert len(families) >= 7
    assert all(len(family.documentation) > 20 for family in families)
    assert sample("voxgate_requests_in_flight") == 0


async def test_schema_describes_every_field_and_every_error(inside):
    client, _ = inside
    schema = (await client.get("/openapi.json")).json()
    operation = schema["paths"][URL]["post"]
    fields = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(fields) == {"file", *map(wire_name, FIELDS)}
    assert all(field["description"] for field in fields.values())
    answers = operation["responses"]["200"]["content"]
    assert set(answers) == {"application/json", "text/plain", "text/vtt", "text/event-stream"}
    assert all(f"`{leaf.code}`" in schema["info"]["description"] for leaf in leaves())
    assert all(header["description"] for header in operation["responses"]["200"]["headers"].values())
    bodies = schema["components"]["schemas"]
    assert {"JsonBody", "VerboseBody", "Segment", "DoneEvent", "ErrorBody", "ModelList"} <= set(bodies)


async def test_schema_names_every_header_of_an_answer_and_no_other(inside):
    client, door = inside
    schema = (await client.get("/openapi.json")).json()
    described = schema["paths"][URL]["post"]["responses"]["200"]["headers"].keys()
    spoken = await client.post(URL, **FORM, data={"prompt": "names"})
    door.pipeline.script = [NoSpeech("silence", duration_s=3.0)]
    silent = await client.post(URL, **FORM)
    sent = {name for answer in (spoken, silent) for name in answer.headers if name.startswith("x-voxgate-")}
    assert sent | {"server-timing"} == described


async def test_schema_operations_have_a_summary_and_a_description(inside):
    client, _ = inside
    paths = (await client.get("/openapi.json")).json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    assert all(operation["summary"] and operation["description"] for operation in operations)


async def test_docs_page_needs_no_other_server(inside):
    client, _ = inside
    page = (await client.get("/docs")).text
    assert URL in page
    assert "no_speech_prob" in page
    assert "worker_lost" in page
    assert "x-voxgate-degraded" in page
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script", page)
