"""The pipeline over the real dispatcher, and below it the real residency: an answer says where it was computed."""

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec
import pytest
from litestar import Litestar
from prometheus_client import REGISTRY

from gateway.api import ApiSettings, Doors, Observed, UploadLimits
from gateway.audio import AudioSettings
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.jobs import Urgency
from gateway.dispatch.settings import DispatchSettings
from gateway.pipeline import Pipeline, PipelineSettings
from gateway.routing.router import Router
from gateway.routing.settings import RoutingSettings
from gateway.transcript import Ask, Transcript
from model_store.catalog.records import ModelRecord
from model_store.errors import DeadlineExceeded, NoSpeech, QueueFull
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


def pipeline(
    residency: Any, *models: ModelRecord, dispatcher: Dispatcher | None = None, interactive_s: float = 30.0
) -> Pipeline:
    router = Router(models or MODELS, RoutingSettings())
    settings = PipelineSettings(beam_size=1, interactive_s=interactive_s)
    return Pipeline(dispatcher or Dispatcher(residency, DispatchSettings()), lambda: router, AudioSettings(), settings)


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


# What it asks of dispatch ---------------------------------------------------------------------------------------------


def computed() -> dict[str, float]:
    """Segments that were computed, by class."""
    name = "voxgate_queue_seconds_count"
    return {urgency: REGISTRY.get_sample_value(name, {"class": urgency}) or 0.0 for urgency in Urgency}


@pytest.mark.parametrize(
    ("interactive_s", "said", "urgency"),
    [
        (30.0, {}, Urgency.INTERACTIVE),
        (1.0, {}, Urgency.BULK),
        (30.0, {"urgency": "bulk"}, Urgency.BULK),
        (1.0, {"urgency": "auto"}, Urgency.BULK),  # nobody makes a long recording interactive
    ],
)
async def test_recording_is_bulk_where_it_is_long_or_says_so(
    interactive_s: float, said: dict[str, Any], urgency: Urgency
) -> None:
    before = computed()
    await transcribed(pipeline(Residency({"lid": CPU, "zh": CPU}), interactive_s=interactive_s), **said)
    assert {each for each in Urgency if computed()[each] > before[each]} == {urgency}


class Full(Dispatcher):
    """One with no place left."""

    def check(self, version: str, **said: Any) -> None:
        raise QueueFull(f"Too much waits for {version}.", retry_after_s=7.0)


@pytest.mark.parametrize(("said", "asked"), [({}, "lid"), ({"language": "zh"}, "zh")])
async def test_full_queue_is_told_before_the_audio_is_decoded(said: dict[str, Any], asked: str) -> None:
    it = pipeline(None, dispatcher=Full(Residency({}), DispatchSettings()))  # type: ignore[arg-type]
    with pytest.raises(QueueFull, match=asked) as full:
        await it.transcribe(io.BytesIO(b"no audio at all"), Ask(request_id="r", **said))
    assert full.value.retry_after_s == 7.0


class Stuck(Residency):
    """Gives no lease until it is told to."""

    def __init__(self) -> None:
        super().__init__({"zh": CPU})
        self.is_wanted, self.gate = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        self.is_wanted.set()
        await self.gate.wait()
        async with super().lease(version, demand) as lease:
            yield lease


async def test_full_queue_answers_429_in_under_20_ms() -> None:
    residency = Stuck()
    it = pipeline(None, dispatcher=Dispatcher(residency, DispatchSettings(max_queue=1)))  # type: ignore[arg-type]
    waiting = asyncio.create_task(transcribed(it, language="zh"))
    await residency.is_wanted.wait()
    limits = UploadLimits(api=ApiSettings(), max_upload_bytes=10 * MIB)
    app = Observed(Litestar(plugins=[Doors(limits, pipeline=lambda: it, readiness=list)]))
    took_s = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as http:
        for _ in range(20):
            began_s = time.perf_counter()
            answer = await http.post("/v1/audio/transcriptions", files={"file": CLIP}, data={"language": "zh"})
            took_s.append(time.perf_counter() - began_s)
            assert (answer.status_code, answer.headers["x-voxgate-code"]) == (429, "queue_full")
            assert int(answer.headers["retry-after"]) >= 1
    assert min(took_s) < 0.02  # others use the machine, too
    residency.gate.set()
    assert (await waiting).text == "你好"


class Hurried(Dispatcher):
    """One that no recording can be done by in time."""

    def check_time(self, *_: Any, **__: Any) -> None:
        raise DeadlineExceeded("It takes too long.")


async def test_recording_that_cannot_be_done_in_time_is_refused_at_once_unless_a_part_will_do() -> None:
    residency = Residency({"zh": CPU})
    it = pipeline(None, dispatcher=Hurried(residency, DispatchSettings()))  # type: ignore[arg-type]
    before = computed()
    with pytest.raises(DeadlineExceeded, match="too long") as exceeded:
        await transcribed(it, language="zh", timeout_s=60.0)
    assert exceeded.value.partial.text == ""
    assert computed() == before
    assert (await transcribed(it, language="zh", timeout_s=60.0, partial=True)).text == "你好"
    assert (await transcribed(it, language="zh")).text == "你好"


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
