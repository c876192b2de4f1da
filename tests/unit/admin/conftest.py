"""The control plane in the gateway's own application, called in the test's own loop from wherever a test says."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from litestar import Litestar
from litestar.types import Scope

from admin.api import Control
from admin.settings import AdminSettings
from gateway.api import ApiSettings, Doors, Observed, UploadLimits
from gateway.api.record import record_of
from model_store.residency.ledger import Phase
from model_store.residency.view import (
    BreakerView,
    DecisionView,
    DeviceView,
    ResidencyView,
    ResidentView,
    WaitingView,
)

MIB = 2**20
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "sesame-sesame-sesame"
VIEW = ResidencyView(
    at=NOON,
    devices=[
        DeviceView(
            id="cpu",
            kind="cpu",
            name="2 cores",
            is_lost=False,
            budget_bytes=1000 * MIB,
            headroom_bytes=256 * MIB,
            charged_bytes=420 * MIB,
            measured_bytes=400 * MIB,
            shared_bytes=100 * MIB,
            reserved_bytes=50 * MIB,
            growth_bytes=0,
            free_bytes=580 * MIB,
        )
    ],
    residents=[
        ResidentView(
            id=3,
            model="zh-[general]",
            kind="asr",
            language="zh",
            domain="general",
            version="5f2c9a1e77aa",
            digest="5f2c9a1e77aa" + "0" * 52,
            device="cpu",
            is_degraded=False,
            is_warm=True,
            engine="openvino",
            precision="bf16",
            phase=Phase.READY,
            charged_bytes=320 * MIB,
            measured_bytes=300 * MIB,
            predicted_bytes=310 * MIB,
            age_s=7_500.0,
            last_use_s=12.0,
            leases=2,
            is_pinned=False,
            keep_alive_s=None,
            load_s=1.25,
            reason="demand",
        )
    ],
    waiting=[
        WaitingView(
            model="yue-general",
            version="77aa",
            digest="77aa" + "0" * 60,
            waiters=4,
            queue_length=9,
            longest_wait_s=1.5,
            priority="normal",
            tried=[],
        )
    ],
    breakers=[
        BreakerView(
            model="en-general",
            version="beef",
            digest="beef" + "0" * 60,
            state="open",
            failures=3,
            retry_in_s=40.0,
            reason="no such tensor",
        )
    ],
    decisions=[
        DecisionView(
            at=NOON,
            first_at=NOON,
            times=7,
            what="refuse",
            model="en-general",
            version="beef",
            device=None,
            reason="model_unavailable",
            detail="left alone",
        )
    ],
)


@pytest.fixture
def view() -> ResidencyView:
    """A view with one of everything in it."""
    return VIEW


class Plane:
    """The application; `failure` is raised instead of an answer, and `codes` holds the codes that it noted."""

    def __init__(self, key: str | None) -> None:
        self.failure: Exception | None = None
        self.codes: list[str] = []
        limits = UploadLimits(api=ApiSettings(), max_upload_bytes=1000)
        doors = Doors(limits, pipeline=self._nothing, readiness=list)
        control = Control(AdminSettings(bootstrap_key=key), look=self.look, note=self.noted)
        self.app = Observed(Litestar(plugins=[doors, control]))

    def look(self) -> ResidencyView:
        if self.failure is not None:
            raise self.failure
        return VIEW

    def noted(self, scope: Scope, code: str) -> str:
        self.codes.append(code)
        return record_of(scope).request_id

    def caller(self, *, peer: str | None = "127.0.0.1", host: str = "127.0.0.1:8080") -> httpx.AsyncClient:
        """Somebody whose connection comes from `peer`; None for one that has no address, over a Unix socket."""
        transport = httpx.ASGITransport(self.app, client=(peer or "", 40_000))
        if peer is None:
            transport.client = None  # type: ignore[assignment]
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")

    def _nothing(self) -> None:
        raise AssertionError("no pipeline is asked for here")


@pytest.fixture
def plane() -> Callable[..., Plane]:
    """Makes a control plane with the given key, or with none."""
    return lambda key=None: Plane(key)


@pytest.fixture
def key() -> str:
    return KEY
