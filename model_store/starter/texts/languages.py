"""The languages that have a starter model."""

from __future__ import annotations

from model_store.starter.texts import en, yue, zh

GRAMMARS = {grammar.language: grammar for grammar in (zh.GRAMMAR, yue.GRAMMAR, en.GRAMMAR)}
