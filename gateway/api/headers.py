"""The `x-voxgate-*` headers: what the JSON bodies say under `voxgate`, for bodies that are not ours to add to."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.api.form import TranscriptionForm
from gateway.transcript import Decision, Transcript

PREFIX = "x-voxgate-"
_PER_CHANNEL = "; one per channel, with commas"
# Of a transcript's answer. A stream has those that are known before its first event; its last one says the rest.
MEANINGS: Final = {
    f"{PREFIX}model": f"Name of the model that answered{_PER_CHANNEL}.",
    f"{PREFIX}version": f"Digest of the model's version{_PER_CHANNEL}.",
    f"{PREFIX}language": f"Language said by the caller, or heard{_PER_CHANNEL}.",
    f"{PREFIX}language-confidence": f"1 where the caller said the language{_PER_CHANNEL}.",
    f"{PREFIX}domain": f"Domain of the model{_PER_CHANNEL}.",
    f"{PREFIX}ignored": "Fields of the request that changed nothing in this answer; only where there are any.",
    f"{PREFIX}cold": "`true` where a model had to be loaded for this request, else `false`; not on a stream.",
    f"{PREFIX}degraded": "`true` where the CPU stood in for a GPU that is lost, else `false`; not on a stream.",
    f"{PREFIX}devices": "Where it was computed, such as `cpu, gpu:0`; not on a stream, nor where nothing had to be.",
    f"{PREFIX}duration": "Length of the recording in seconds; not on a stream.",
    f"{PREFIX}code": "`no_speech` where the text is empty for want of speech; not on a stream.",
    "server-timing": "Milliseconds per stage (W3C Server Timing); not on a stream.",
}


def of_transcript(transcript: Transcript, form: TranscriptionForm) -> dict[str, str]:
    """All headers of a finished answer; `MEANINGS` tells what each says."""
    timing = ", ".join(f"{stage};dur={spent_ms:.1f}" for stage, spent_ms in transcript.stages_ms.items())
    return {
        **of_decisions(transcript.decisions),
        **of_form(form),
        f"{PREFIX}cold": str(transcript.is_cold).lower(),
        f"{PREFIX}degraded": str(transcript.is_degraded).lower(),
        **({f"{PREFIX}devices": _listed(transcript.devices)} if transcript.devices else {}),
        f"{PREFIX}duration": f"{transcript.duration_s:.3f}",
        **({f"{PREFIX}code": transcript.code} if transcript.code else {}),
        **({"server-timing": _plain(timing)} if timing else {}),
    }


def of_decisions(decisions: Sequence[Decision]) -> dict[str, str]:
    """One value per channel, in their order, with commas; nothing where there was no speech to decide on."""
    if not decisions:
        return {}
    return {
        f"{PREFIX}model": _listed(decision.model for decision in decisions),
        f"{PREFIX}version": _listed(decision.version for decision in decisions),
        f"{PREFIX}language": _listed(decision.language for decision in decisions),
        f"{PREFIX}language-confidence": _listed(f"{decision.language_confidence:.4f}" for decision in decisions),
        f"{PREFIX}domain": _listed(decision.domain for decision in decisions),
    }


def of_form(form: TranscriptionForm) -> dict[str, str]:
    ignored = form.ignored()
    return {f"{PREFIX}ignored": _listed(ignored)} if ignored else {}


def _listed(values: Iterable[str]) -> str:
    return _plain(", ".join(values))


def _plain(text: str) -> str:
    # Header values are ASCII on one line; a name that is not must not cost the answer.
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
