"""The pipeline over the real dispatcher, and below it the real residency: an answer says where it was computed."""

import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec
import pytest
from litestar import Litestar

from gateway.api import ApiSettings, Doors, Observed, UploadLimits
from gateway.audio import AudioSettings
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.settings import DispatchSettings
from gateway.pipeline import Pipeline, PipelineSettings
from gateway.routing.router import Router
from gateway.routing.settings import RoutingSettings
from gateway.transcript import Ask, Transcript
from model_store.catalog.records import ModelRecord
from model_store.errors import DeadlineExceeded, NoSpeech
from model_store.predictors.hypotheses import Hypothesis, Identification, LidOptions, Outcome, Recognition
from model_store.residency.devices import discover
from model_store.residency.events import Demand
from model_store.residency.manager import Lease
from model_store.residency.settings import ResidencySettings
from model_store.runtime.messages import Result
from model_store.runtime.seam import Utterance
from model_store.starter.install import SAMPLES_DIR
from tests.unit.residency.rig import MIB, Driver, Rig, ScriptedWorker, running

CLIP: Final = (SAMPLES_DIR / "zh" / "01.flac").read_bytes()
GPU, CPU, STAND_IN = ("gpu:0", False), ("cpu", False), ("cpu", True)
Place = tuple[str, bool]


def predicted(utterance: Utterance) -> Outcome:
    """Chinese, whatever it is."""
    if isinstance(utterance.options, LidOptions):
        return Identification({"zh": 0.9, "en": 0.1})
    return Recognition((Hypothesis("你好", -1.0, 0.9),))


class Worker:
    """Answers by `predict`."""

    def __init__(self, predict: Callable[[Utterance], Outcome | None]) -> None:
        self._predict = predict

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        return [Result(number, outcome=self._predict(each)) for number, each in enumerate(batch)]


class Residency:
    """Leases where a version is said to be."""

    def __init__(self, places: Mapping[str, Place], predict: Callable[[Utterance], Outcome | None] = predicted) -> None:
        self._places = places
        self._worker = Worker(predict)

    def predictors(self, version: str) -> int:
        return 1

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        device, is_degraded = self._places[version]
        yield Lease(self._worker, version, False, device, is_degraded)  # type: ignore[arg-type]


def model(version: str, kind: str, language: str | None) -> ModelRecord:
    return ModelRecord(
        name=version,
        kind=kind,  # type: ignore[arg-type]
        language=language,
        domain="general" if language else None,
        stable=version,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


MODELS: Final = (model("lid", "lid", None), model("zh", "asr", "zh"), model("en", "asr", "en"))


def pipeline(residency: Any, *models: ModelRecord) -> Pipeline:
    router = Router(models or MODELS, RoutingSettings())
    return Pipeline(
        Dispatcher(residency, DispatchSettings()), lambda: router, AudioSettings(), PipelineSettings(beam_size=1)
    )


async def transcribed(it: Pipeline, **said: Any) -> Transcript:
    return await it.transcribe(io.BytesIO(CLIP), Ask(request_id="r", **said))


@pytest.mark.parametrize(
    ("lid", "zh", "devices", "is_degraded"),
    [
        (GPU, GPU, ("gpu:0",), False),
        (CPU, CPU, ("cpu",), False),  # there is no GPU
        (CPU, GPU, ("cpu", "gpu:0"), False),
        (GPU, STAND_IN, ("cpu", "gpu:0"), True),
        (STAND_IN, GPU, ("cpu", "gpu:0"), True),  # the language was heard on a stand-in
        (STAND_IN, STAND_IN, ("cpu",), True),
    ],
)
async def test_transcript_is_degraded_where_any_part_of_it_was(
    lid: Place, zh: Place, devices: tuple[str, ...], is_degraded: bool
) -> None:
    answer = await transcribed(pipeline(Residency({"lid": lid, "zh": zh})))
    assert answer.text == "你好"
    assert (answer.devices, answer.is_degraded) == (devices, is_degraded)


async def test_transcript_language_said_names_the_recognisers_device_alone() -> None:
    answer = await transcribed(pipeline(Residency({"lid": STAND_IN, "zh": GPU})), language="zh")
    assert (answer.devices, answer.is_degraded) == (("gpu:0",), False)


async def test_transcript_of_silence_heard_on_a_stand_in_says_so() -> None:
    def silence(_: Utterance) -> Outcome:
        return Identification({"other": 1.0})

    with pytest.raises(NoSpeech) as silent:
        await transcribed(pipeline(Residency({"lid": STAND_IN}, silence)))
    assert (silent.value.details["devices"], silent.value.details["is_degraded"]) == (["cpu"], True)


async def test_transcript_that_came_too_late_says_where_its_language_was_heard() -> None:
    def late(utterance: Utterance) -> Outcome | None:
        return predicted(utterance) if isinstance(utterance.options, LidOptions) else None

    with pytest.raises(DeadlineExceeded) as exceeded:
        await transcribed(pipeline(Residency({"lid": STAND_IN, "zh": STAND_IN}, late)))
    partial = exceeded.value.partial
    assert (partial.devices, partial.is_degraded) == (("cpu",), True)


# Through the door, down to a GPU that is lost and comes back ----------------------------------------------------------


class Answers(ScriptedWorker):
    """A scripted worker that has something to say."""

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        return await Worker(predicted).infer(batch)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(2000 * MIB)
    driver.install(monkeypatch)
    monkeypatch.setattr("tests.unit.residency.rig.ScriptedWorker", Answers)
    return driver


@contextlib.asynccontextmanager
async def served(driver: Driver) -> AsyncIterator[tuple[Rig, httpx.AsyncClient]]:
    """A gateway's door in this loop, on a machine with one GPU, for which the CPU may stand in."""
    said: dict[str, Any] = {"may_use_cpu": True, "cpu_budget_bytes": 1000 * MIB, "linger_s": 0.0}
    limits = UploadLimits(api=ApiSettings(), max_upload_bytes=10 * MIB)
    async with running(names=["zh-general"], devices=discover(ResidencySettings(**said)), **said) as rig:
        rig.runtime.driver = driver
        zh = msgspec.structs.replace(model("zh-general", "asr", "zh"), stable=rig.manifests[0].digest)
        it = pipeline(rig.manager, zh)
        app = Observed(Litestar(plugins=[Doors(limits, pipeline=lambda: it, readiness=list)]))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as http:
            yield rig, http


async def asked(http: httpx.AsyncClient, **form: str) -> httpx.Response:
    answer = await http.post("/v1/audio/transcriptions", files={"file": CLIP}, data=form)
    return answer.raise_for_status()


def told(answer: httpx.Response) -> tuple[list[str], bool, str, str]:
    """What JSON and headers say of the devices."""
    ours, headers = answer.json()["voxgate"], answer.headers
    return ours["devices"], ours["is_degraded"], headers["x-voxgate-devices"], headers["x-voxgate-degraded"]


async def test_gpu_lost_answers_say_in_json_and_headers_that_the_cpu_stood_in_until_it_is_back(driver: Driver) -> None:
    async with served(driver) as (rig, http):
        assert told(await asked(http)) == (["gpu:0"], False, "gpu:0", "false")
        driver.is_lost = True
        rig.manager.measure()
        assert told(await asked(http)) == (["cpu"], True, "cpu", "true")
        assert told(await asked(http, response_format="verbose_json")) == (["cpu"], True, "cpu", "true")
        assert (await asked(http, response_format="srt")).headers["x-voxgate-degraded"] == "true"
        *_, done = filter(None, (await asked(http, stream="true")).text.splitlines())
        assert msgspec.json.decode(done.removeprefix("data: "))["voxgate"]["is_degraded"]
        driver.is_lost = False
        for _ in range(5):
            rig.manager.measure()
        assert told(await asked(http)) == (["gpu:0"], False, "gpu:0", "false")
        moves = [(one.what, one.device, one.reason) for one in reversed(rig.manager.look().decisions)]
    assert moves == [
        ("load", "gpu:0", "demand"),
        ("evict", "gpu:0", "lost"),
        ("load", "cpu", "demand"),
        ("evict", "cpu", "back"),
        ("load", "gpu:0", "demand"),
    ]
