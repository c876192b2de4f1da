"""Output units and the text that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

BLANK = "<blank>"
# WeNet writes the space between words as this; sentencepiece puts it at the start of a word.
SPACE = "▁"
_SPECIAL = frozenset({BLANK, "<blk>", "<unk>", "<sos>", "<eos>", "<sos/eos>", "<pad>"})
# CJK ideographs with their extensions, kana, and the two signs that stand for one: scripts written without spaces.
_UNSPACED = (
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The units of a model, by their number."""

    symbols: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a `units.txt`: a symbol and its number per line. Raises ValueError naming the line that is wrong."""
        numbers: dict[str, int] = {}
        for line in text.splitlines():
            symbol, _, number = line.rstrip().replace("\t", " ").rpartition(" ")
            symbol = symbol.strip(" ")
            if not symbol or not number.isdecimal() or int(number) != len(numbers) or symbol in numbers:
                raise ValueError(
                    f"units.txt line {len(numbers) + 1} is {line!r}: needs a new symbol and {len(numbers)}"
                )
            numbers[symbol] = len(numbers)
        return cls(tuple(numbers))

    def dump(self) -> str:
        """The table as a `units.txt`."""
        return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(self.symbols))

    def shown(self, number: int) -> str:
        """What a unit adds to the text, with `SPACE` for a space; the special units add nothing."""
        symbol = self.symbols[number]
        return "" if symbol in _SPECIAL else symbol

    def text(self, numbers: Sequence[int]) -> str:
        """The text of a sequence of units: spaces stand where the units say so, and nowhere else."""
        return " ".join("".join(self.shown(number) for number in numbers).replace(SPACE, " ").split())


def is_unspaced(character: str) -> bool:
    """Whether the character belongs to a script whose words are not separated, so that it counts as a word itself."""
    return any(first <= ord(character) <= last for first, last in _UNSPACED)
