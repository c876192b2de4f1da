"""What predictors are asked and what they answer; plain data that travels between processes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class AsrOptions(Struct, frozen=True, tag="asr"):
    """How one utterance is searched. `beam_size` 1 is greedy, and the default is what WeNet and PaddleSpeech take.

    `rescoring`: with the attention decoder, where the version has one and there is a beam to choose from. Of the two
    weights, see `Hypothesis.score`, None takes the version's own; `reverse_weight` is without effect where the decoder
    reads from left to right alone.
    """

    beam_size: Annotated[int, Meta(ge=1, le=64)] = 10
    n_best: Annotated[int, Meta(ge=1, le=64)] = 1
    rescoring: bool = True
    ctc_weight: Annotated[float, Meta(ge=0)] | None = None
    reverse_weight: Annotated[float, Meta(ge=0, le=1)] | None = None


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
    """One reading of an utterance; confidence in 0..1.

    `score` orders the readings of one utterance, and natural logs make it. Greedy: of the probability of the best
    alignment; prefix beam: of the text, over the alignments that were kept; rescored: the attention decoder's, of text
    and end, plus `ctc_weight` times the beam's. With decoders for both directions, the one from right to left has the
    share `reverse_weight` in theirs.

    The confidence of a token is its CTC probability where that is highest; where it was rescored, its probability in
    the decoder, the mean of both directions. A text's is the geometric mean over its tokens (rescored: and its end).
    """

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
