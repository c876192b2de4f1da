"""Output units and the text that they make."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

BLANK = "<blank>"
# WeNet writes the space between words as this; sentencepiece puts it at the start of a word.
SPACE = "▁"
# PaddleSpeech's space in vocabularies of characters.
_SPACE_UNIT = "<space>"
# Units that are never said. WeNet's runtime leaves out <unk> too; its and PaddleSpeech's Python tools print it.
_SILENT = frozenset(
    {BLANK, "<blk>", "<unk>", "<sos>", "<eos>", "<sos/eos>", "<s>", "</s>", "<pad>", "<mask>"}
    | {"<context>", "</context>"}
)
# One byte of a character that has no unit of its own (sentencepiece's byte fallback).
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_BROKEN = "\N{REPLACEMENT CHARACTER}"
# CJK ideographs with their extensions, kana, and the two signs that stand for one: scripts written without spaces.
_UNSPACED = (
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class Piece(NamedTuple):
    """Some text, and the units that make it: from `start` to before `stop` in their sequence."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The units of a model, by their number."""

    symbols: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a `units.txt`: a symbol and its number per line. Raises ValueError naming the line that is wrong."""
        numbers: dict[str, int] = {}
        # Not splitlines(): a vocabulary may hold characters that count as line ends there.
        for line in text.removesuffix("\n").split("\n") if text else ():
            symbol, _, number = line.rstrip("\r\n\t ").replace("\t", " ").rpartition(" ")
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

    def text(self, numbers: Sequence[int]) -> str:
        """The text of a sequence of units: spaces stand where the units say so, single ones, and nowhere else."""
        return " ".join("".join(piece.text for piece in self.pieces(numbers)).split())

    def pieces(self, numbers: Sequence[int]) -> Iterator[Piece]:
        """What each unit adds to the text, in order; of bytes, what each of their characters adds.

        Units that are never said are left out. A byte that makes no character with its neighbours is U+FFFD, as
        sentencepiece has it. Symbols such as <noise> are text, as in both sources.
        """
        symbols = [self.symbols[number] for number in numbers]
        at = 0
        while at < len(symbols):
            n_bytes = _count_bytes(symbols, at)
            if n_bytes:
                yield from _characters(symbols[at : at + n_bytes], at)
            elif symbols[at] not in _SILENT:
                yield Piece(symbols[at].replace(_SPACE_UNIT, " ").replace(SPACE, " "), at, at + 1)
            at += max(1, n_bytes)


def is_unspaced(character: str) -> bool:
    """Whether the character belongs to a script whose words are not separated, so that it counts as a word itself."""
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def _count_bytes(symbols: Sequence[str], start: int) -> int:
    """How many units from `start` on are bytes."""
    stop = start
    while stop < len(symbols) and _BYTE.fullmatch(symbols[stop]):
        stop += 1
    return stop - start


def _characters(symbols: Sequence[str], start: int) -> Iterator[Piece]:
    """The characters of a run of bytes that begins at `start` of its sequence."""
    # Each byte that is broken becomes one lone surrogate, so that none is lost count of.
    raw = bytes.fromhex("".join(symbol[3:5] for symbol in symbols))
    for character in raw.decode("utf-8", "surrogateescape"):
        is_broken = "\udc80" <= character <= "\udcff"
        stop = start + (1 if is_broken else len(character.encode()))
        yield Piece(_BROKEN if is_broken else character, start, stop)
        start = stop
