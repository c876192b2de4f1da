"""Greedy reading of CTC outputs, and how far a reading is from the truth."""

from __future__ import annotations

from collections.abc import Sequence

BLANK = 0


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
