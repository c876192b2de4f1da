"""The units of a starter model, in WeNet's order: characters, or for English pieces of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

SPECIAL = ("<blank>", "<unk>", "<sos/eos>")
END = SPECIAL.index("<sos/eos>")
SPACE = "▁"


@dataclass(frozen=True)
class Units:
    """Symbols and their numbers. Where there are pieces, each that begins a word begins with `SPACE`."""

    symbols: tuple[str, ...]

    @classmethod
    def over(cls, symbols: Sequence[str]) -> Units:
        """Put the special units before `symbols`."""
        return cls((*SPECIAL, *symbols))

    @cached_property
    def has_pieces(self) -> bool:
        """Whether a unit may be longer than a character."""
        return any(len(symbol) > 1 for symbol in self.symbols[len(SPECIAL) :])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.symbols[len(SPECIAL) :]))

    def numbers(self, text: str) -> list[int]:
        """Text to unit numbers, the longest unit first; raises KeyError for a character that is no unit."""
        rest = (SPACE if self.has_pieces else "") + text.replace(" ", SPACE)
        numbers = []
        while rest:
            fitting = (rest[:length] for length in range(self._longest, 0, -1))
            symbol = next((piece for piece in fitting if piece in self._index), rest[0])
            numbers.append(self._index[symbol])
            rest = rest[len(symbol) :]
        return numbers

    def text(self, numbers: Sequence[int]) -> str:
        """Unit numbers to text."""
        return "".join(self.symbols[number] for number in numbers).replace(SPACE, " ").strip()

    def as_table(self) -> str:
        """The content of `units.txt`."""
        return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(self.symbols))


def pieces(texts: Iterable[str], characters: Sequence[str], count: int) -> list[str]:
    """Choose `count` units for texts in words: the characters, and what byte-pair encoding makes of frequent words.

    Sennrich et al. 2016 (arXiv 1508.07909), section 3.2. Every word begins with `SPACE`.
    """
    words = Counter(word for text in texts for word in text.split())
    split = {word: [SPACE, *word] for word in words}
    chosen = dict.fromkeys(characters)
    while len(chosen) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        chosen["".join(best)] = None
        split = {word: _joined(parts, best) for word, parts in split.items()}
    return list(chosen)


def _joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined
