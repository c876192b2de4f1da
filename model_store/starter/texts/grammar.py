"""Sentences drawn from patterns with slots, repeatably."""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice

SLOT = re.compile(r"\{(\w+)\}")
DIGITS_SLOT = re.compile(r"digits(\d+)")
# Of so many drawn texts training takes the one with the rarest word, so that none is too rare to be learnt.
CANDIDATES = 6
# One to so many words in any order: they teach words apart from the patterns that they stand in.
WORDS_AT_ONCE = 5
WORDS_SHARE = 0.4
HELDOUT_ONE_IN = 8


@dataclass(frozen=True)
class Grammar:
    """Patterns such as `{city}{day}会下雨吗`, and the words that fill their slots.

    `{digits6}` is six random digits. Words may have slots of their own. `joiner` is what stands between words: a
    space in English, nothing in Chinese. Training and tests have no pattern in common, and all words; `loose` are
    words that training says without a pattern.
    """

    name: str
    language: str
    domain: str
    joiner: str
    digits: Sequence[str]
    words: Mapping[str, Sequence[str]]
    patterns: Sequence[str]
    test_patterns: Sequence[str]
    loose: Sequence[str] = ()

    def sentence(self, rng: random.Random) -> str:
        """Draw one sentence for training; the same state of `rng` gives the same sentence."""
        return self._filled(rng.choice(self.patterns), rng)

    def some_words(self, rng: random.Random) -> str:
        """Draw one to a few words that make no sentence."""
        return self.joiner.join(self._word(rng) for _ in range(rng.randint(1, WORDS_AT_ONCE)))

    def test_sentences(self, count: int, seed: int) -> list[str]:
        """Draw `count` different sentences, about as many from each of the test patterns."""
        rng = random.Random(f"{self.name}-test-{seed}")
        drawn: dict[str, None] = {}
        for pattern in cycle(self.test_patterns):
            if len(drawn) == count:
                return list(drawn)
            drawn[self._filled(pattern, rng)] = None
        return []

    def units(self) -> list[str]:
        """List every character that a sentence can have, sorted, a space written as `▁`."""
        texts = chain(self.patterns, self.test_patterns, self.loose, *self.words.values())
        characters = set("".join(SLOT.sub("", text) for text in texts).replace(" ", "")) | set("".join(self.digits))
        return (["▁"] if self.joiner else []) + sorted(characters)

    def spoken(self, text: str) -> list[str]:
        """Split a sentence into what is learnt one by one: words in English, characters in Chinese."""
        return text.split() if self.joiner else list(text)

    def _word(self, rng: random.Random) -> str:
        slot = rng.randrange(len(self.words) + len(self.loose) // 10)
        if slot >= len(self.words):
            return rng.choice(self.loose)
        return self._filled(rng.choice([word for word in list(self.words.values())[slot] if word]), rng)

    def _filled(self, text: str, rng: random.Random) -> str:
        while SLOT.search(text):
            text = SLOT.sub(lambda slot: self._fill(slot[1], rng), text)
        return " ".join(text.split()) if self.joiner else text.strip()

    def _fill(self, slot: str, rng: random.Random) -> str:
        digits = DIGITS_SLOT.fullmatch(slot)
        if digits:
            return self.joiner.join(rng.choice(self.digits) for _ in range(int(digits[1])))
        return rng.choice(self.words[slot])


def training_texts(grammar: Grammar, count: int, seed: int, lent: Sequence[Grammar] = ()) -> list[str]:
    """Draw texts for training, sentences and loose words; it may repeat itself.

    Of the words without a sentence every other comes from the `lent` grammars, so that their characters are known.
    """
    rng = random.Random(f"{grammar.name}-{seed}")
    seen: Counter[str] = Counter()
    texts: list[str] = []
    while len(texts) < count:
        drawn = [text for text in islice(_draws(grammar, rng, lent), CANDIDATES) if text and not is_heldout(text)]
        if drawn:
            texts.append(min(drawn, key=lambda text: min(seen[word] for word in grammar.spoken(text))))
            seen.update(grammar.spoken(texts[-1]))
    return texts


def _draws(grammar: Grammar, rng: random.Random, lent: Sequence[Grammar]) -> Iterable[str]:
    draw: Callable[[random.Random], str] = grammar.sentence
    if rng.random() < WORDS_SHARE:
        draw = rng.choice([grammar, rng.choice(lent)] if lent else [grammar]).some_words
    while True:
        yield draw(rng)


def heldout_sentences(grammar: Grammar, count: int, seed: int) -> list[str]:
    """Draw sentences that training never says, of the patterns of training: they judge a training while it runs."""
    rng = random.Random(f"{grammar.name}-heldout-{seed}")
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        sentence = grammar.sentence(rng)
        if is_heldout(sentence):
            drawn[sentence] = None
    return list(drawn)


def is_heldout(text: str) -> bool:
    """Say whether training must never see a text. The text alone decides, so no pattern is held out altogether."""
    return zlib.crc32(text.encode()) % HELDOUT_ONE_IN == 0
