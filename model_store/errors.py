"""The error tree: everything that can go wrong, as a client, an admin or an operator meets it.

Each leaf has a stable `code`, an HTTP `status`, whether the same request may succeed when it is sent again
(`retryable`), and a docstring that says who raises it, when, and what the client sees. Messages say what to do.
They never hold audio, text or a path of this machine.
"""

from collections.abc import Iterator
from typing import Any, ClassVar


class VoxgateError(Exception):
    """Root of the tree; never raised itself.

    `param` names the field of the request that is to blame, `details` holds what a program may want to read
    (what there is instead, bytes needed), JSON-able.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = details


# What the caller sent ------------------------------------------------------------------------------------------------


class RequestError(VoxgateError):
    """The request itself is wrong; sending it again changes nothing."""

    status = 400


class AudioMissing(RequestError):
    """Raised by the wire protocols when a request carries no audio, or a file of zero bytes."""

    code = "audio_missing"


class AudioUndecodable(RequestError):
    """Raised by `gateway.audio` when no known container or codec fits; the client sees what was recognised of it."""

    code = "audio_undecodable"
    status = 415


class AudioTruncated(RequestError):
    """Raised by `gateway.audio` when a file ends before the length that its own header declares."""

    code = "audio_truncated"
    status = 422


class AudioTooLong(RequestError):
    """Raised by `gateway.audio` when a recording lasts longer than `audio.max_duration_s`."""

    code = "audio_too_long"
    status = 413


class AudioTooLarge(RequestError):
    """Raised by the wire protocols as soon as an upload passes `audio.max_upload_bytes`."""

    code = "audio_too_large"
    status = 413


class NoSpeech(RequestError):
    """Raised by `gateway.audio` when a recording holds no speech; an empty text where the protocol allows it."""

    code = "no_speech"
    status = 422


class LanguageUnknown(RequestError):
    """Raised by `gateway.routing` for a language that no model serves; the client sees the languages there are."""

    code = "language_unknown"


class DomainUnknown(RequestError):
    """Raised by `gateway.routing` for a domain that no model of the language serves; lists the domains there are."""

    code = "domain_unknown"


class ModelUnknown(RequestError):
    """Raised by `gateway.routing` for a model name that the catalogue lacks; lists the models there are.

    Also by the catalogue itself, when an admin names such a model.
    """

    code = "model_unknown"
    status = 404


class HotwordListInvalid(RequestError):
    """Raised by the catalogue when a hotword list has a phrase that cannot be used; names the phrase and why."""

    code = "hotword_list_invalid"
    status = 422


class OptionInvalid(RequestError):
    """Raised by wire protocols, commands and settings when an option has a value outside its range, or is unknown."""

    code = "option_invalid"


class NotFound(RequestError):
    """Raised by the HTTP applications for an address or a method that does not exist."""

    code = "not_found"
    status = 404


# Who the caller is ---------------------------------------------------------------------------------------------------


class AccessError(VoxgateError):
    """The caller may not do this."""

    status = 403


class KeyMissing(AccessError):
    """Raised by `gateway.access` and `admin` when a request carries no key and one is needed."""

    code = "key_missing"
    status = 401


class KeyInvalid(AccessError):
    """Raised by `gateway.access` and `admin` when a key is unknown, revoked or expired."""

    code = "key_invalid"
    status = 401


class NotPermitted(AccessError):
    """Raised by `gateway.access` and `admin` when a valid key lacks the right for this call, or a caller without one.

    The second is who asks for /admin from another machine while no operator's key is set.
    """

    code = "not_permitted"


# What stands in the way ----------------------------------------------------------------------------------------------


class ConflictError(VoxgateError):
    """The request is at odds with what is stored."""

    status = 409


class VersionImmutable(ConflictError):
    """Raised by the catalogue and the artifact store when something would change a published version."""

    code = "version_immutable"


class TransitionIllegal(ConflictError):
    """Raised by the catalogue when a version or a rollout cannot go from its state to the one asked for."""

    code = "transition_illegal"


class EditConflict(ConflictError):
    """Raised by the catalogue when somebody else changed the same thing first."""

    code = "edit_conflict"


# What there is too little of -----------------------------------------------------------------------------------------


class CapacityError(VoxgateError):
    """Too little of something now; `retry_after_s` says when to come again, which every protocol passes on."""

    status = 503
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0, param: str | None = None, **details: Any) -> None:
        super().__init__(message, param=param, **details)
        self.retry_after_s = retry_after_s


class QueueFull(CapacityError):
    """Raised by `gateway.dispatch` when a version's queue has reached `dispatch.max_queue`.

    Also by `model_store.residency` when `residency.max_waiters` wait for one version to be loaded.
    """

    code = "queue_full"
    status = 429


class RateLimited(CapacityError):
    """Raised by `gateway.access` when a tenant sends requests faster than its rate."""

    code = "rate_limited"
    status = 429


class QuotaExceeded(CapacityError):
    """Raised by `gateway.access` when a tenant has used up the audio seconds of its period."""

    code = "quota_exceeded"
    status = 429


class DeviceMemoryExhausted(CapacityError):
    """Raised by `model_store.residency` when a model fits on no device, or did not get room in time.

    The client sees the bytes needed and the bytes there are. Also by a worker whose device ran out of memory: over a
    load, for which residency then makes more room once, or over an input.
    """

    code = "device_memory_exhausted"


class ModelUnavailable(CapacityError):
    """Raised by `model_store.residency` while a version that failed to load repeatedly is left alone for a while."""

    code = "model_unavailable"


class ShuttingDown(CapacityError):
    """Raised by the gateway for requests that arrive after it was told to stop."""

    code = "shutting_down"


class DeadlineExceeded(VoxgateError):
    """Raised by `gateway.dispatch` when a request's time is up; carries the `partial` result where there is one."""

    code = "deadline_exceeded"
    status = 504
    retryable = True

    def __init__(self, message: str, *, partial: Any = None, param: str | None = None, **details: Any) -> None:
        super().__init__(message, param=param, **details)
        self.partial = partial


# What broke on our side ----------------------------------------------------------------------------------------------


class InternalError(VoxgateError):
    """Something of ours broke; the request was fine."""


class ArtifactCorrupt(InternalError):
    """Raised by `model_store.artifacts` when files are missing, or do not match the digests of their manifest."""

    code = "artifact_corrupt"


class ImportFailed(InternalError):
    """Raised by `model_store.importers` when a foreign model cannot be read; names the file, tensor or key."""

    code = "import_failed"
    status = 422


class LoadFailed(InternalError):
    """Raised by `model_store.residency` when a worker could not load a version."""

    code = "load_failed"


class PredictFailed(InternalError):
    """Raised by a worker when a predictor failed on an input; fails the requests of that batch and nothing else."""

    code = "predict_failed"


class WorkerLost(InternalError):
    """Raised by `gateway.dispatch` when a request's worker died, and so did the one that tried it again alone.

    Not to be sent again unchanged: it may be what kills them. Sent all the same, it is refused at once for a while, and
    the client sees until when (`quarantined_until`).
    """

    code = "worker_lost"
    status = 502


def leaves(root: type[VoxgateError] = VoxgateError) -> Iterator[type[VoxgateError]]:
    """Every error that can be raised: the classes of the tree that have no subclass."""
    children = root.__subclasses__()
    if not children:
        yield root
    for child in children:
        yield from leaves(child)


def by_code(code: str, message: str) -> VoxgateError:
    """The leaf of that code, as it comes back from a worker process; an unknown code is a `PredictFailed`."""
    known = {leaf.code: leaf for leaf in leaves()}
    return known.get(code, PredictFailed)(message)
