"""Logs: one form for all who log, the request's id on each event, and nothing that a user said."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import structlog

from gateway import logs

Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def events() -> Events:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_event_in_request_carries_its_id_and_after_it_does_not(events: Events) -> None:
    with logs.request_context("r-1"):
        structlog.get_logger("gateway.pipeline").info("answered", duration_s=1.5)
        logging.getLogger("model_store.residency").warning("evicted %s", "zh")
    structlog.get_logger("gateway.app").info("idle")
    inside, foreign, outside = events()
    assert (inside["event"], inside["request_id"], inside["duration_s"]) == ("answered", "r-1", 1.5)
    assert (inside["logger"], inside["level"]) == ("gateway.pipeline", "info")
    assert (foreign["event"], foreign["request_id"], foreign["level"]) == ("evicted zh", "r-1", "warning")
    assert "request_id" not in outside


def test_event_with_audio_or_text_withholds_it_at_any_depth(events: Events) -> None:
    pcm = np.full(3, 0.12345, np.float32)
    structlog.get_logger("x").info(
        "seen", text="HUSH", item={"words": ["HUSH"], "all": [pcm, b"HUSH", {"prompt": "HUSH"}]}, chunk=pcm, segments=2
    )
    [event] = events()
    assert "HUSH" not in json.dumps(event)
    assert "0.12345" not in json.dumps(event)
    assert (event["segments"], event["chunk"]) == (2, logs.WITHHELD)


def test_event_with_a_name_that_is_no_text_is_written_all_the_same(events: Events) -> None:
    structlog.get_logger("x").info("seen", path="a\udcff.wav", folder=Path("/中"))
    [event] = events()
    assert event["path"] == "a\udcff.wav"
    assert "中" in event["folder"]


def test_event_with_values_of_other_classes_keeps_what_they_say(events: Events) -> None:
    class Seconds(float): ...

    structlog.get_logger("x").info("seen", folder=Path("/中"), took_s=Seconds(1.5), codes={7}, left_s=float("inf"))
    [event] = events()
    assert "中" in event["folder"]
    assert (event["took_s"], event["codes"], event["left_s"]) == (1.5, [7], None)


@pytest.mark.parametrize("form", ["json", "console"])
def test_traceback_shows_no_local_variables(form: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    logs.configure("info", form, stream)
    heard = "HU" + "SH"
    try:
        int(len(heard) * "x")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "HUSH" not in stream.getvalue()


def test_access_line_of_uvicorn_becomes_fields_without_query(events: Events) -> None:
    arguments = ("10.0.0.1:5", "POST", "/v1/audio/transcriptions?prompt=HUSH", "1.1", 200)
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *arguments)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    access, started = events()
    assert (access["event"], access["method"], access["status"]) == ("access", "POST", 200)
    assert access["path"] == "/v1/audio/transcriptions"
    assert "HUSH" not in json.dumps(access)
    assert started["event"] == "Started server process [7]"


def test_event_below_the_level_or_of_chatty_library_is_left_out(events: Events) -> None:
    structlog.get_logger("x").debug("quiet")
    logging.getLogger("httpx").info("quiet")
    logging.getLogger("httpx").warning("loud")
    assert [event["event"] for event in events()] == ["loud"]


def test_configure_again_logs_once(events: Events) -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    structlog.get_logger("x").info("once")
    assert stream.getvalue().count("once") == 1
    assert events() == []
