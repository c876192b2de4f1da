"""The `x-voxgate-*` headers: what the JSON bodies say under `voxgate`, for bodies that are not ours to add to."""

from collections.abc import Iterable, Sequence

from gateway.api.form import TranscriptionForm
from gateway.transcript import Decision, Transcript

PREFIX = "x-voxgate-"


def of_transcript(transcript: Transcript, form: TranscriptionForm) -> dict[str, str]:
    """All headers of a finished answer; `server-timing` (W3C) holds the stages."""
    timing = ", ".join(f"{stage};dur={spent_ms:.1f}" for stage, spent_ms in transcript.stages_ms.items())
    return {
        **of_decisions(transcript.decisions),
        **of_form(form),
        f"{PREFIX}cold": str(transcript.is_cold).lower(),
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
