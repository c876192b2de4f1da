"""What predictors are asked and what they answer; plain data that travels between processes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class AsrOptions(Struct, frozen=True, tag="asr"):
    """How one utterance is searched. `beam_size` 1 is greedy."""

    beam_size: Annotated[int, Meta(ge=1, le=64)] = 8
    n_best: Annotated[int, Meta(ge=1, le=64)] = 1


class LidOptions(Struct, frozen=True, tag="lid"):
    """How one utterance is classified; there is nothing to choose yet."""


Options = AsrOptions | LidOptions


class Word(Struct, frozen=True):
    """A word (a character in Chinese) with times in seconds from the start of the utterance; confidence in 0..1."""

    text: str
    start_s: float
    end_s: float
    confidence: float


class Hypothesis(Struct, frozen=True):
    """One reading of an utterance. `score`: natural log of its CTC prefix probability; confidence in 0..1."""

    text: str
    score: float
    confidence: float
    words: tuple[Word, ...] = ()


class Recognition(Struct, frozen=True, tag="recognition"):
    """The n-best readings of one utterance, best first; never empty, but a text may be."""

    hypotheses: tuple[Hypothesis, ...]


class Identification(Struct, frozen=True, tag="identification"):
    """Posterior per label of the classifier, summing to 1."""

    posteriors: dict[str, float]


Outcome = Recognition | Identification
Precision = Literal["fp32", "bf16", "fp16"]
