"""What dispatch shows to Prometheus."""

from prometheus_client import Counter

QUARANTINED = Counter(
    "voxgate_quarantined_inputs_total", "Inputs that killed two workers, and are refused for a while."
)
QUARANTINE_REFUSALS = Counter(
    "voxgate_quarantine_refusals_total",
    "Requests that were refused at once: their audio had killed two workers.",
)
