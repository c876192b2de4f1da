"""What is kept of each request, and which of them count; all times in seconds of one monotonic clock."""

from msgspec import Struct


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """A request and how it ended. `code` is None where a text came; `is_right` None where nobody knows what is right.

    due_s: when it should have been sent; in a closed loop, when it was. Latencies count from there, so that a request
    that an overloaded generator, or a full set of connections, let wait is as late as its caller would find it.
    """

    due_s: float
    sent_s: float
    ended_s: float
    audio_s: float
    code: str | None = None
    is_right: bool | None = None
    is_cold: bool = False
    stages_ms: dict[str, float] = {}

    @property
    def latency_s(self) -> float:
        """As the caller has it."""
        return self.ended_s - self.due_s


class Window(Struct, frozen=True):
    """The part of a run that counts: after the warm-up, before the end; empty where a run did not get that far."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Never zero."""
        return max(self.end_s - self.start_s, 1e-9)

    def __contains__(self, at_s: float) -> bool:
        return self.start_s <= at_s <= self.end_s
