"""What the gateway counts, in Prometheus' default registry; labels take few values, never a file or a text.

`python -m gateway.metrics` prints the README's table.
"""

import functools
import sys
from types import ModuleType
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from gateway.dispatch import metrics as dispatch
from gateway.transcript import Transcript
from model_store.residency import metrics as residency

M = TypeVar("M", bound=MetricWrapperBase)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

REQUESTS = Counter(
    "voxgate_requests_total",
    "Requests that were answered, by route template, HTTP status and error code (ok where there is none).",
    ["route", "status", "code"],
)
REQUEST_SECONDS = Histogram(
    "voxgate_request_seconds",
    "Seconds from the first byte of a request to the last of its answer, uploads and streams included.",
    ["route"],
    buckets=_SECONDS,
)
REQUESTS_IN_FLIGHT = Gauge("voxgate_requests_in_flight", "Requests that are being answered now.")
ERRORS = Counter("voxgate_errors_total", "Errors that callers saw, by code of the error tree.", ["code"])
STAGE_SECONDS = Histogram(
    "voxgate_stage_seconds", "Seconds that one transcription spent in a stage.", ["stage"], buckets=_SECONDS
)
AUDIO_SECONDS = Counter("voxgate_audio_seconds_total", "Seconds of audio transcribed, by language.", ["language"])
TRANSCRIPTS = Counter(
    "voxgate_transcripts_total",
    "Finished transcriptions, by model and whether a model had to be loaded (cold) or not (warm).",
    ["model", "temperature"],
)
UPLOAD_BYTES = Histogram(
    "voxgate_upload_bytes", "Bytes of audio per accepted upload.", buckets=[4**exponent for exponent in range(6, 17)]
)


def transcribed(transcript: Transcript) -> None:
    """Count a finished transcription; each channel's seconds under the language that was spoken on it."""
    for stage, milliseconds in transcript.stages_ms.items():
        _labelled(STAGE_SECONDS, stage).observe(milliseconds / 1000)
    for decision in transcript.decisions:
        _labelled(AUDIO_SECONDS, decision.language).inc(transcript.duration_s)
        _labelled(TRANSCRIPTS, decision.model, "cold" if transcript.is_cold else "warm").inc()


def answered(route: str, status: int, code: str | None, seconds: float) -> None:
    """Count a request that has its answer; `code` is the error's, also of one in the middle of a stream."""
    _labelled(REQUESTS, route, str(status), code or "ok").inc()
    _labelled(REQUEST_SECONDS, route).observe(seconds)
    if code:
        ERRORS.labels(code).inc()


def described() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name as it is exposed, kind, labels and help of every metric: the gateway's own, and those of its rooms."""
    rooms: tuple[ModuleType, ...] = (sys.modules[__name__], dispatch, residency)
    found = [value for room in rooms for value in vars(room).values() if isinstance(value, MetricWrapperBase)]
    return [_row(metric) for metric in found]


def markdown() -> str:
    """The README's table."""
    lines = ["| Metric | Kind | Labels | What it is |", "|---|---|---|---|"]
    for name, kind, labels, text in described():
        told = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {told} | {text} |")
    return "\n".join(lines) + "\n"


@functools.cache
def _labelled(metric: M, *labels: str) -> M:
    """`metric.labels`, which looks each of them through every time."""
    return metric.labels(*labels)


def _row(metric: MetricWrapperBase) -> tuple[str, str, tuple[str, ...], str]:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, family.type, tuple(metric._labelnames), family.documentation


if __name__ == "__main__":
    sys.stdout.write(markdown())
