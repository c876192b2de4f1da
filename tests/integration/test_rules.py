"""Rules of one model, said by the command while a gateway runs, and followed for what is loaded."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from model_store.engines.cpu import is_bf16_processor
from tests.integration.live import VOXGATE, Gateway, until
from tests.integration.sound import speech, wav

StartGateway = Callable[..., Gateway]


def rule(gateway: Gateway, *options: str) -> dict[str, Any]:
    """What `voxgate models rules` answers in the gateway's own environment."""
    command = [VOXGATE, "models", "rules", *options, "--json"]
    answer = subprocess.run(command, env=gateway.environ, capture_output=True, text=True, timeout=60, check=True)
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def residents(gateway: Gateway) -> dict[str, dict[str, Any]]:
    view = gateway.http.get("/admin/v1/residency").json()
    return {resident["model"]: resident for resident in view["residents"]}


def test_rules_changed_while_a_gateway_runs_reach_what_is_loaded(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    for language in ("zh", "en"):
        assert gateway.transcribe(wav(speech(2.0)), language=language).is_success
    assert {each["keep_alive_s"] for each in residents(gateway).values()} == {None}

    assert rule(gateway, "en-general", "--keep-alive", "500", "--pin")["said"]["keep_alive_s"] == 500.0
    until(lambda: residents(gateway)["en-general"]["is_pinned"], "the rule in the view", 10.0)
    assert residents(gateway)["en-general"]["keep_alive_s"] == 500.0

    rule(gateway, "zh-general", "--keep-alive", "0")
    until(lambda: "zh-general" not in residents(gateway), "the end of what nobody uses", 10.0)
    assert gateway.metric("voxgate_model_evictions_total", model="zh-general", reason="idle") == 1
    assert "en-general" in residents(gateway)

    assert gateway.transcribe(wav(speech(2.0)), language="zh").is_success
    until(lambda: "zh-general" not in residents(gateway), "its end after each use", 10.0)


@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
def test_rule_of_another_precision_loads_it_anew_and_one_that_cannot_be_is_told(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    assert gateway.transcribe(wav(speech(2.0)), language="zh").is_success
    assert residents(gateway)["zh-general"]["precision"] == "bf16"

    rule(gateway, "zh-general", "--precision", "fp32")
    until(lambda: residents(gateway).get("zh-general", {}).get("precision") == "fp32", "its load in fp32", 20.0)
    assert gateway.transcribe(wav(speech(2.0)), language="zh").is_success
    assert gateway.metric("voxgate_model_evictions_total", model="zh-general", reason="replaced") == 1

    rule(gateway, "zh-general", "--engine", "openvino")  # even where it is installed: it is held against bf16 here
    until(lambda: not gateway.transcribe(wav(speech(2.0)), language="zh").is_success, "the refusal", 10.0)
    refused = gateway.transcribe(wav(speech(2.0)), language="zh")
    assert refused.json()["error"]["code"] == "load_failed"
    assert "--engine auto" in refused.text
    rule(gateway, "zh-general", "--engine", "default", "--precision", "fp16")  # which says nothing of a processor
    until(lambda: gateway.transcribe(wav(speech(2.0)), language="zh").is_success, "an answer", 10.0)
    until(lambda: residents(gateway).get("zh-general", {}).get("precision") == "bf16", "its load in bf16", 20.0)
