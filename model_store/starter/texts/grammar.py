"""Sentences drawn from patterns with slots, repeatably."""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SLOT = re.compile(r"\{(\w+)\}")
# Of so many drawn sentences training takes the one with the rarest word, so that none is too rare to be learnt.
CANDIDATES = 6
WORD_SHARE = 0.25
HELDOUT_ONE_IN = 8
DIGITS_SLOT = re.compile(r"digits(\d+)")


@dataclass(frozen=True)
class Grammar:
    """Patterns such as `{city}{day}会下雨吗`, and the words that fill their slots.

    `{digits6}` is six random digits. Words may have slots of their own. `joiner` is what stands between words: a
    space in English, nothing in Chinese.
    """

    language: str
    voice: str
    joiner: str
    digits: Sequence[str]
    words: Mapping[str, Sequence[str]]
    patterns: Sequence[str]

    def sentence(self, rng: random.Random) -> str:
        """Draw one sentence; the same state of `rng` gives the same sentence."""
        return self._filled(rng.choice(self.patterns), rng)

    def word(self, rng: random.Random) -> str:
        """Draw one filling of one slot."""
        return self._filled(rng.choice([word for word in self.words[rng.choice(list(self.words))] if word]), rng)

    def _filled(self, text: str, rng: random.Random) -> str:
        while SLOT.search(text):
            text = SLOT.sub(lambda slot: self._fill(slot[1], rng), text)
        return self.joiner.join(text.split())

    def spoken(self, text: str) -> list[str]:
        """Split a sentence into what is learnt one by one: words in English, characters in Chinese."""
        return text.split() if self.joiner else list(text)

    def _fill(self, slot: str, rng: random.Random) -> str:
        digits = DIGITS_SLOT.fullmatch(slot)
        if digits:
            return self.joiner.join(rng.choice(self.digits) for _ in range(int(digits[1])))
        return rng.choice(self.words[slot])

    def units(self) -> list[str]:
        """List every character that a sentence can have, sorted, a space written as `▁`."""
        texts = [SLOT.sub("", text) for text in self.patterns]
        texts += [SLOT.sub("", word) for words in self.words.values() for word in words]
        characters = set("".join(texts).replace(" ", "")) | set("".join(self.digits))
        return (["▁"] if self.joiner else []) + sorted(characters)


def split_sentences(grammar: Grammar, n_training: int, n_heldout: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw training texts and held-out sentences that have none in common; training may repeat itself.

    Some training texts are single words: CTC learns to align on short texts first.
    """
    rng = random.Random(f"{grammar.language}-{seed}")
    heldout: dict[str, None] = {}
    while len(heldout) < n_heldout:
        sentence = grammar.sentence(rng)
        if is_heldout(sentence):
            heldout[sentence] = None
    seen: Counter[str] = Counter()
    training: list[str] = []
    while len(training) < n_training:
        draw = grammar.word if rng.random() < WORD_SHARE else grammar.sentence
        drawn = [text for text in (draw(rng) for _ in range(CANDIDATES)) if not is_heldout(text)]
        if drawn:
            training.append(min(drawn, key=lambda text: min(seen[word] for word in grammar.spoken(text))))
            seen.update(grammar.spoken(training[-1]))
    return training, list(heldout)


def is_heldout(text: str) -> bool:
    """Say whether training must never see a text. The text alone decides, so no pattern is held out altogether."""
    return zlib.crc32(text.encode()) % HELDOUT_ONE_IN == 0
