"""From tokens with frames to words with times and confidences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from model_store.artifacts.manifest import Encoder
from model_store.predictors.features import SHIFT_MS, WINDOW_MS
from model_store.predictors.hypotheses import Word
from model_store.predictors.tokens import TokenTable, is_unspaced

# A CTC peak says where a token is, not how long it lasts; WeNet gives it this much too (runtime, kTimeStampGapMs).
_REACH_S = 0.1


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """When encoder frames are: the first in the middle of the sound that it sees, and every `step_s` another."""

    first_s: float
    step_s: float

    @classmethod
    def of(cls, encoder: Encoder) -> Self:
        """The times of the frames that this encoder's subsampling makes."""
        first_ms = (encoder.min_frames - 1) / 2 * SHIFT_MS + WINDOW_MS / 2
        return cls(first_ms / 1000, encoder.stride_frames * SHIFT_MS / 1000)

    def spans(self, frames: Sequence[int], duration_s: float) -> list[tuple[float, float]]:
        """When each token is heard, in seconds: around its peak, and at most to half the way to its neighbours."""
        centres = [self.first_s + frame * self.step_s for frame in frames]
        starts = [max(0.0, centre - _REACH_S) for centre in centres]
        ends = [min(duration_s, centre + _REACH_S) for centre in centres]
        for i in range(1, len(centres)):
            middle = (centres[i - 1] + centres[i]) / 2
            ends[i - 1], starts[i] = min(ends[i - 1], middle), max(starts[i], middle)
        return list(zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class _Character:
    """One character with its time, and the log-probability of the tokens that it came in."""

    text: str
    start_s: float
    end_s: float
    log_prob: float


def words_of(
    tokens: Sequence[int], spans: Sequence[tuple[float, float]], log_probs: Sequence[float], table: TokenTable
) -> tuple[Word, ...]:
    """Group tokens to words: what stands between spaces, and every Chinese character by itself.

    spans, log_probs: when each token is heard, in seconds, and the natural log of its probability. A word's confidence
    is the geometric mean of the probabilities of its characters.
    """
    return tuple(_join(group) for group in _groups(_characters(tokens, spans, log_probs, table)))


def confidence_of(log_probs: Sequence[float]) -> float:
    """The geometric mean of probabilities given by their natural logs; 0.0 for none."""
    return min(1.0, float(np.exp(np.mean(log_probs)))) if len(log_probs) else 0.0


def _characters(
    tokens: Sequence[int], spans: Sequence[tuple[float, float]], log_probs: Sequence[float], table: TokenTable
) -> Iterator[_Character]:
    for text, start, stop in table.pieces(tokens):
        n_said = sum(not character.isspace() for character in text)
        edges = iter(np.linspace(spans[start][0], spans[stop - 1][1], n_said + 1).tolist())
        log_prob = float(np.mean(log_probs[start:stop]))
        at_s = next(edges)
        for character in text:
            # The space of a token is a boundary; it takes none of the token's time.
            until_s = at_s if character.isspace() else next(edges)
            yield _Character(character, at_s, until_s, log_prob)
            at_s = until_s


def _groups(characters: Iterator[_Character]) -> Iterator[list[_Character]]:
    group: list[_Character] = []
    for character in characters:
        is_space = character.text.isspace()
        if group and (is_space or is_unspaced(character.text) or is_unspaced(group[-1].text)):
            yield group
            group = []
        if not is_space:
            group.append(character)
    if group:
        yield group


def _join(group: list[_Character]) -> Word:
    return Word(
        text="".join(character.text for character in group),
        start_s=round(group[0].start_s, 3),
        end_s=round(group[-1].end_s, 3),
        confidence=confidence_of([character.log_prob for character in group]),
    )
