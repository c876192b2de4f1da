"""How far readings are from the truth: error rates with their confidence intervals, and greedy reading of CTC."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLANK = 0
RESAMPLES = 2000
BOOTSTRAP_SEED = 7


@dataclass(frozen=True)
class Rate:
    """Errors per token over a set, and the bounds of its 95 % confidence interval."""

    rate: float
    low: float
    high: float
    errors: int
    tokens: int

    def __str__(self) -> str:
        """Write it as `4.20 % (3.71-4.73)`."""
        return f"{self.rate:.2%} ({self.low * 100:.2f}-{self.high * 100:.2f})".replace("%", " %")


def collapse(best: Sequence[int]) -> list[int]:
    """Turn the best unit of each encoder frame into units: repeats become one, blanks go."""
    return [unit for before, unit in zip([BLANK, *best], best, strict=False) if unit not in (BLANK, before)]


def edit_distance(truth: Sequence[object], reading: Sequence[object]) -> int:
    """Count the fewest insertions, deletions and substitutions between the two (Levenshtein)."""
    row = list(range(len(reading) + 1))
    for i, wanted in enumerate(truth, start=1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(reading, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1]


def character_error_rate(truths: Sequence[str], readings: Sequence[str]) -> float:
    """Errors per character of the truth, over all utterances; spaces between words count as characters."""
    errors = sum(edit_distance(truth, reading) for truth, reading in zip(truths, readings, strict=True))
    return errors / max(1, sum(map(len, truths)))


def tokens_of(text: str) -> list[str]:
    """What is compared: words where they are separated by spaces, characters of Chinese; so CER, WER, or a mix.

    Compatibility forms are unified (NFKC), letters are lower case, and all that is no letter, digit or apostrophe
    separates words and is left out. Numbers stay as they were written.
    """
    spaced = []
    for character in unicodedata.normalize("NFKC", text).lower().replace("’", "'"):
        if _is_ideograph(character):
            spaced.append(f" {character} ")
        else:
            spaced.append(character if character.isalnum() or character == "'" else " ")
    return "".join(spaced).split()


def _is_ideograph(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")


def error_rate(truths: Sequence[str], readings: Sequence[str]) -> Rate:
    """Errors per token with a 95 % interval, by resampling utterances (percentile bootstrap, Bisani and Ney 2004)."""
    pairs = [(tokens_of(truth), tokens_of(reading)) for truth, reading in zip(truths, readings, strict=True)]
    errors = [edit_distance(truth, reading) for truth, reading in pairs]
    return rate_of(errors, [len(truth) for truth, _ in pairs])


def rate_of(errors: Sequence[int], tokens: Sequence[int]) -> Rate:
    """As `error_rate`, from the errors and the tokens of each utterance; a share is one token each."""
    counted = np.array([errors, tokens], dtype=np.int64)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(counted.shape[1], size=(RESAMPLES, counted.shape[1]))
    sums = counted[:, drawn].sum(axis=-1)
    low, high = np.percentile(sums[0] / np.maximum(1, sums[1]), (2.5, 97.5))
    n_errors, n_tokens = counted.sum(axis=1).tolist()
    return Rate(n_errors / max(1, n_tokens), float(low), float(high), n_errors, n_tokens)


def calibration_error(confidences: Sequence[float], are_right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: how far accuracy is from confidence, over bins of equal width (Guo et al. 2017)."""
    confidence, right = np.asarray(confidences), np.asarray(are_right, dtype=np.float64)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = [abs(confidence[which == b].sum() - right[which == b].sum()) for b in range(bins)]
    return float(sum(gaps) / max(1, confidence.size))
