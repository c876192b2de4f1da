"""From tokens with frames to words with times and confidences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model_store.predictors.features import SHIFT_MS, WINDOW_MS
from model_store.predictors.hypotheses import Word
from model_store.predictors.tokens import SPACE, TokenTable, is_unspaced

STRIDE_FRAMES = 4
# An encoder frame sees 7 feature frames; the token is at the middle of their middle one.
_CENTRE_S = (3 * SHIFT_MS + WINDOW_MS / 2) / 1000
_ENCODER_FRAME_S = STRIDE_FRAMES * SHIFT_MS / 1000
# A CTC peak says where a token is, not how long it lasts; WeNet gives it this much too (runtime, kTimeStampGapMs).
_REACH_S = 0.1


@dataclass(frozen=True, slots=True)
class _Character:
    """One character with its time, and the log-probability of the token that it came in."""

    text: str
    start_s: float
    end_s: float
    log_prob: float


def words_of(
    tokens: Sequence[int], frames: Sequence[int], log_probs: Sequence[float], table: TokenTable, duration_s: float
) -> tuple[Word, ...]:
    """Group tokens to words: what stands between spaces, and every Chinese character by itself.

    frames, log_probs: where each token peaks and the natural log of its probability there. A word's confidence is
    the geometric mean of the probabilities of its characters.
    """
    return tuple(_join(group) for group in _groups(_characters(tokens, frames, log_probs, table, duration_s)))


def confidence_of(log_probs: Sequence[float]) -> float:
    """The geometric mean of probabilities given by their natural logs; 0.0 for none."""
    return min(1.0, float(np.exp(np.mean(log_probs)))) if len(log_probs) else 0.0


def spans_of(frames: Sequence[int], duration_s: float) -> list[tuple[float, float]]:
    """When each token is heard, in seconds: around its peak, and at most to half the way to its neighbours."""
    centres = [frame * _ENCODER_FRAME_S + _CENTRE_S for frame in frames]
    starts = [max(0.0, centre - _REACH_S) for centre in centres]
    ends = [min(duration_s, centre + _REACH_S) for centre in centres]
    for i in range(1, len(centres)):
        middle = (centres[i - 1] + centres[i]) / 2
        ends[i - 1], starts[i] = min(ends[i - 1], middle), max(starts[i], middle)
    return list(zip(starts, ends, strict=True))


def _characters(
    tokens: Sequence[int], frames: Sequence[int], log_probs: Sequence[float], table: TokenTable, duration_s: float
) -> Iterator[_Character]:
    for token, (start_s, end_s), log_prob in zip(tokens, spans_of(frames, duration_s), log_probs, strict=True):
        text = table.shown(token)
        step_s = (end_s - start_s) / max(1, len(text.replace(SPACE, "")))
        at_s = start_s
        for character in text:
            # The space of a token is a boundary; it takes none of the token's time.
            until_s = at_s if character == SPACE else at_s + step_s
            yield _Character(character, at_s, until_s, log_prob)
            at_s = until_s


def _groups(characters: Iterator[_Character]) -> Iterator[list[_Character]]:
    group: list[_Character] = []
    for character in characters:
        stands_alone = is_unspaced(character.text)
        if group and (stands_alone or character.text == SPACE or is_unspaced(group[-1].text)):
            yield group
            group = []
        if character.text != SPACE:
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
