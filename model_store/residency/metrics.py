"""What residency shows to Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

LOADS = Counter(
    "voxgate_model_loads_total",
    "Loads of a version on a device, by outcome: loaded, failed, or cancelled because nobody waited any more.",
    ["model", "version", "device", "outcome"],
)
LOAD_SECONDS = Histogram(
    "voxgate_model_load_seconds",
    "Seconds from the decision to load a version until its worker could answer.",
    ["model", "device"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)
EVICTIONS = Counter(
    "voxgate_model_evictions_total",
    "Predictors that were ended or died: room, deficit, idle, unwanted, lost, back, barred, replaced, shutdown, crash.",
    ["model", "version", "device", "reason"],
)
DEVICE_MEMORY = Gauge(
    "voxgate_device_memory_bytes",
    "Bytes of a device: budget, charged, measured (what is really taken), shared (what counts once for all workers), "
    "others (what processes that are not ours hold of a GPU).",
    ["device", "kind"],
)
SIZE_RATIO = Histogram(
    "voxgate_model_size_ratio",
    "Bytes that a load was measured to take over those that it was expected to take.",
    ["device"],
    buckets=(0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 2),
)
LEASES = Counter(
    "voxgate_leases_total",
    "Leases that were granted, by whether they waited for a load (cold) or not (warm): a lease is a batch.",
    ["model", "temperature"],
)
BREAKERS = Gauge(
    "voxgate_breakers", "Versions whose loads failed of late, by state: backing_off, open, half_open.", ["state"]
)
LEASES_WAITING = Gauge("voxgate_leases_waiting", "Leases that dispatch has asked for and not got yet.")
RESIDENTS = Gauge(
    "voxgate_residents", "Predictors on a device by phase: loading, ready, draining, stopping.", ["device", "phase"]
)
DEVICES_LOST = Gauge("voxgate_device_lost", "1 while the driver does not answer for a GPU, else 0.", ["device"])
DEGRADED_LEASES = Counter(
    "voxgate_degraded_leases_total", "Leases on a CPU that stands in for a GPU that is lost.", ["model"]
)
UNRETURNED = Counter(
    "voxgate_device_memory_unreturned_total",
    "Workers whose memory a GPU did not show free within residency.free_timeout_s after their end.",
    ["device"],
)
