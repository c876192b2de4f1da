"""The batches that a gateway made of long recordings, as its metrics tell."""

from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

_BULK = {"class": "bulk"}


class Batches(NamedTuple):
    """All bulk so far: batches, their segments, and the audio in them by kind."""

    number: float
    segments: float
    speech_s: float
    padding_s: float

    @property
    def each(self) -> float:
        """Segments of a batch, in the mean."""
        return self.segments / self.number

    @property
    def padding(self) -> float:
        """The share that is nobody's speech."""
        return self.padding_s / (self.speech_s + self.padding_s)


def batches_at(url: str) -> Batches:
    """Of the gateway there."""
    return batches_of(httpx.get(f"{url}/metrics", trust_env=False).raise_for_status().text)


def batches_of(text: str) -> Batches:
    """From what it shows to Prometheus. Pure."""
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]

    def value(name: str, **labels: str) -> float:
        wanted = (_BULK | labels).items()
        return sum(one.value for one in samples if one.name == name and wanted <= one.labels.items())

    return Batches(
        value("voxgate_batch_segments_count"),
        value("voxgate_batch_segments_sum"),
        value("voxgate_batch_audio_seconds_total", kind="speech"),
        value("voxgate_batch_audio_seconds_total", kind="padding"),
    )
