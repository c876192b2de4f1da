"""What manager, fork server and worker say to each other, and how it is framed on a local socket.

Everything is msgpack. To a worker it goes in frames, a 4-byte big-endian length before each; to the fork server in
packets, beside which file descriptors travel. PCM never travels here: it lies in the worker's arena, shared memory that
both sides have mapped, and an `Item` says where.
"""

import struct
from typing import Final

import msgspec
from msgspec import Struct

from model_store.artifacts.graphs import EngineName
from model_store.errors import VoxgateError, by_code
from model_store.predictors.hypotheses import Options, Outcome, Precision

HEADER: Final = struct.Struct(">I")
MAX_FRAME_BYTES: Final = 2**28
BYTES_PER_SAMPLE: Final = 4


class Load(Struct, frozen=True, tag="load", kw_only=True):
    """Make the predictor of a version, and warm it up; `graph_dir` has its graphs for this engine.

    `is_urgent`: say that it stands at once, and warm it up by and by, while nobody asks.
    """

    version_dir: str
    graph_dir: str
    precision: Precision
    threads: int
    device: str
    engine: EngineName = "paddle"
    is_urgent: bool = False


class Item(Struct, frozen=True):
    """One utterance of a batch: float32 PCM at `offset` (in samples) of the arena; `deadline_s` on CLOCK_MONOTONIC."""

    id: int
    offset: int
    n_samples: int
    options: Options
    deadline_s: float | None = None


class Infer(Struct, frozen=True, tag="infer"):
    """Run these utterances through the predictor as one batch."""

    items: tuple[Item, ...]


class Cancel(Struct, frozen=True, tag="cancel"):
    """Nobody waits for these items any more; those not begun are skipped."""

    items: tuple[int, ...]


class Drain(Struct, frozen=True, tag="drain"):
    """Finish what you have, then end."""


ToWorker = Load | Infer | Cancel | Drain


class Failure(Struct, frozen=True):
    """An error of the tree, crossing a process."""

    code: str
    message: str

    @classmethod
    def of(cls, error: VoxgateError) -> "Failure":
        """The same error, as data."""
        return cls(error.code, error.message)

    def error(self) -> VoxgateError:
        """The same error, as an exception."""
        return by_code(self.code, self.message)


class Loaded(Struct, frozen=True, tag="loaded"):
    """The predictor stands: seconds per step of the load, and the most private bytes that a run of the warm-up took."""

    stages_s: dict[str, float]
    run_bytes: int


class LoadRefused(Struct, frozen=True, tag="load_refused"):
    """The predictor could not be made; the worker ends."""

    failure: Failure


class Result(Struct, frozen=True, tag="result"):
    """What became of one item: an outcome, or a failure, or neither where it was cancelled in time."""

    id: int
    outcome: Outcome | None = None
    failure: Failure | None = None
    stages_s: dict[str, float] = {}


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """The worker lives. Its memory (see `memory.Memory`): private bytes at most since the last of these, and so far.

    `busy_s` since it took up its work. `is_warm`: nothing of its warm-up is left to do.
    """

    private_bytes: int
    peak_private_bytes: int
    mapped_bytes: int
    busy_s: float
    is_warm: bool


FromWorker = Loaded | LoadRefused | Result | Heartbeat


class Spawn(Struct, frozen=True, tag="spawn"):
    """Fork a worker; its socket and its arena travel beside this message as file descriptors."""

    id: int
    heartbeat_s: float


class Spawned(Struct, frozen=True, tag="spawned"):
    """The worker of that spawn lives under this process id."""

    id: int
    pid: int


class Ready(Struct, frozen=True, tag="ready"):
    """The fork server has imported what workers need."""


class Exited(Struct, frozen=True, tag="exited"):
    """A worker ended; `status` as the shell counts it: negative for a signal."""

    pid: int
    status: int


FromForkServer = Ready | Spawned | Exited

_encoder = msgspec.msgpack.Encoder()
to_worker = msgspec.msgpack.Decoder(ToWorker)
from_worker = msgspec.msgpack.Decoder(FromWorker)
to_fork_server = msgspec.msgpack.Decoder(Spawn)
from_fork_server = msgspec.msgpack.Decoder(FromForkServer)


def encode(message: Struct) -> bytes:
    """The message as one packet, for the fork server's socket, which keeps packets apart."""
    return _encoder.encode(message)


def frame(message: Struct) -> bytes:
    """The message as it goes onto a worker's stream."""
    body = encode(message)
    return HEADER.pack(len(body)) + body
