"""The units of a starter model, in WeNet's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPECIAL = ("<blank>", "<unk>", "<sos/eos>")
SPACE = "▁"


@dataclass(frozen=True)
class Units:
    """Characters and their numbers."""

    symbols: tuple[str, ...]

    @classmethod
    def over(cls, characters: Sequence[str]) -> Units:
        """Put the special units before `characters`."""
        return cls((*SPECIAL, *characters))

    def numbers(self, text: str) -> list[int]:
        """Text to unit numbers; raises KeyError for a character that is no unit."""
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        return [index[character] for character in text.replace(" ", SPACE)]

    def text(self, numbers: Sequence[int]) -> str:
        """Unit numbers to text."""
        return "".join(self.symbols[number] for number in numbers).replace(SPACE, " ").strip()

    def as_table(self) -> str:
        """The content of `units.txt`."""
        return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(self.symbols))
