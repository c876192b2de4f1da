"""What an operator may set about the choice of a model."""

from typing import Annotated

from msgspec import Meta, Struct


class RoutingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How language and domain are found, and which names mean that the gateway chooses."""

    aliases: Annotated[tuple[str, ...], Meta(description="Model names of other services that mean `auto` here.")] = (
        "whisper-1",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
    )
    default_language: Annotated[
        str, Meta(description="Language where none is said and no classifier is there; empty: the caller must say it.")
    ] = ""
    default_domain: Annotated[str, Meta(description="Domain of a request that says none.")] = "general"
    evidence_s: Annotated[float, Meta(gt=0, description="Seconds of speech that the language is judged by.")] = 8.0
    confident_posterior: Annotated[
        float, Meta(ge=0, le=1, description="Below this the language is marked as uncertain in the answer's reason.")
    ] = 0.9
    no_speech_posterior: Annotated[
        float, Meta(ge=0, le=1, description="From this posterior of no language on, a recording counts as no speech.")
    ] = 0.9
