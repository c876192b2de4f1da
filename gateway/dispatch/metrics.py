"""What dispatch shows to Prometheus. A class is interactive or bulk."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

BATCH_SEGMENTS = Histogram(
    "voxgate_batch_segments",
    "Segments that went to a worker as one batch, by class.",
    ["class"],
    buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
)
BATCH_AUDIO = Counter(
    "voxgate_batch_audio_seconds_total",
    "Seconds of audio in batches, by class and kind: speech, and the padding to the longest of each batch.",
    ["class", "kind"],
)
BATCH_SECONDS = Histogram(
    "voxgate_batch_seconds", "Seconds that a worker took for one batch, by class.", ["class"], buckets=_SECONDS
)
BATCH_RATIO = Histogram(
    "voxgate_batch_prediction_ratio",
    "Seconds that a batch took over those that it was predicted to take, once its version has been measured.",
    ["class"],
    buckets=(0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2, 4),
)
QUEUE_SECONDS = Histogram(
    "voxgate_queue_seconds",
    "Seconds that a segment waited for its turn, by class; the load of its model is part of it.",
    ["class"],
    buckets=_SECONDS,
)
REFUSALS = Counter(
    "voxgate_queue_refusals_total",
    "Segments that dispatch refused, by class and reason: full, or late (they could not make their deadline).",
    ["class", "reason"],
)
QUARANTINED = Counter(
    "voxgate_quarantined_inputs_total", "Inputs that killed two workers, and are refused for a while."
)
QUARANTINE_REFUSALS = Counter(
    "voxgate_quarantine_refusals_total",
    "Requests that were refused at once: their audio had killed two workers.",
)
