"""What residency shows to Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

LOADS = Counter(
    "voxgate_model_loads_total",
    "Loads of a version on a device, by outcome: loaded or failed.",
    ["model", "version", "device", "outcome"],
)
LOAD_SECONDS = Histogram(
    "voxgate_model_load_seconds",
    "Seconds from the decision to load a version until its worker was warm.",
    ["model", "device"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)
EVICTIONS = Counter(
    "voxgate_model_evictions_total",
    "Predictors whose process was ended or died: room, deficit, shutdown, crash.",
    ["model", "version", "device", "reason"],
)
DEVICE_MEMORY = Gauge(
    "voxgate_device_memory_bytes",
    "Bytes of a device: budget, charged, measured (what is really taken), shared (what counts once for all workers).",
    ["device", "kind"],
)
LEASES_WAITING = Gauge("voxgate_leases_waiting", "Leases that dispatch has asked for and not got yet.")
RESIDENTS = Gauge(
    "voxgate_residents", "Predictors on a device by phase: loading, ready, stopping.", ["device", "phase"]
)
