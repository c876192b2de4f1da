"""The grammars, read from the YAML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from model_store.starter.texts.grammar import Grammar

HERE = Path(__file__).parent
ENGLISH_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CHINESE_DIGITS = tuple("零一二三四五六七八九")


def _read(name: str, language: str, domain: str = "general") -> Grammar:
    written: dict[str, Any] = yaml.safe_load((HERE / f"{name.replace('-', '_')}.yaml").read_text(encoding="utf-8"))
    patterns = written["patterns"]
    return Grammar(
        name=name,
        language=language,
        domain=domain,
        joiner=" " if language == "en" else "",
        digits=ENGLISH_DIGITS if language == "en" else CHINESE_DIGITS,
        words={slot: _words(listed) for slot, listed in written["words"].items()},
        patterns=patterns.get("training", "").splitlines(),
        test_patterns=patterns["test"].splitlines(),
        loose=_words(written["loose"]) if "loose" in written else (),
    )


def _words(listed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in listed.split(","))


ZH, FINANCE, MEDICAL = _read("zh", "zh"), _read("zh-finance", "zh", "finance"), _read("zh-medical", "zh", "medical")
YUE, EN = _read("yue", "yue"), _read("en", "en")

# A recogniser is trained on each of these.
GRAMMARS = {grammar.name: grammar for grammar in (ZH, FINANCE, MEDICAL, YUE, EN)}
LANGUAGES = ("zh", "yue", "en")
# So many texts each is trained on. Many, and few times each: 9,000 texts heard twenty times made a Mandarin model with
# 6 % errors in sentences of the same patterns, in noise, and 12 % in clean ones of patterns that it had not heard.
N_TRAINING = {"zh": 24000, "zh-finance": 4000, "zh-medical": 4000, "yue": 18000, "en": 20000}
# Words of these come up in the training of the general model, which is to know every character of theirs.
LENT = {"zh": (FINANCE, MEDICAL)}
# Chinese with English words in it: for tests alone.
SWITCHED = {grammar.name: grammar for grammar in (_read("zh-en", "zh-en"), _read("yue-en", "yue-en"))}
