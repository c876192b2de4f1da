"""Rules of one model, said by the command while a gateway runs, and followed for what is loaded."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

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
