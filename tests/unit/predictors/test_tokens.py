"""Units become text the way their makers join them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.predictors.tokens import TokenTable, is_unspaced

SENTENCEPIECE = json.loads((Path(__file__).parents[2] / "data" / "sentencepiece" / "decoded.json").read_text("utf-8"))
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
UNITS = (
    *("<blank>", "<unk>", "<sos/eos>", "<eos>", "我", "用", "爱", "写", "▁HE", "LLO", "▁WOR", "LD", "▁", "<space>"),
    *("p", "y", "▁python", "▁code", "<noise>", "[LAUGHTER]", "x"),
)
TABLE = TokenTable((*UNITS, *BYTES))
WORDS = st.text("我爱你abcXYZ'", min_size=1, max_size=4)
SENTENCES = st.lists(WORDS, max_size=5).map(" ".join)


def _text(*symbols: str) -> str:
    return TABLE.text([TABLE.symbols.index(symbol) for symbol in symbols])


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ([], ""),
        (["我", "爱"], "我爱"),
        (["▁HE", "LLO", "▁WOR", "LD"], "HELLO WORLD"),
        (["我", "▁HE", "LLO", "爱"], "我 HELLO爱"),
        (["我", "用", "▁python", "▁", "写", "▁code"], "我用 python 写 code"),
        (["我", "用", "<space>", "p", "y", "<space>", "写"], "我用 py 写"),
        (["我", "爱", "▁", "x"], "我爱 x"),
        (["▁", "▁", "x", "▁", "<space>", "x", "▁"], "x x"),
        (["<unk>", "我", "<sos/eos>", "<eos>", "<blank>"], "我"),
        (["我", "<noise>", "▁HE", "[LAUGHTER]"], "我<noise> HE[LAUGHTER]"),
        (["<0xE4>", "<0xB8>", "<0x80>", "x"], "一x"),
        (["<0xE4>", "<0xB8>", "x"], "\ufffd\ufffdx"),
        (["<0xE4>", "<unk>", "<0xB8>"], "\ufffd\ufffd"),
        (["x", "<0x20>", "<0x78>"], "x x"),
    ],
)
def test_text_has_spaces_only_where_units_say_so(symbols, text):
    assert _text(*symbols) == text


@pytest.mark.parametrize("case", SENTENCEPIECE["cases"], ids=lambda case: repr(case["text"]))
def test_text_of_pieces_is_sentencepieces_own_but_for_repeated_spaces(case):
    assert TokenTable(tuple(SENTENCEPIECE["symbols"])).text(case["numbers"]) == " ".join(case["text"].split())


@pytest.mark.parametrize("space", ["▁", "<space>"])
@given(SENTENCES)
def test_text_of_characters_as_wenet_and_paddlespeech_split_them_is_what_was_said(space, sentence):
    symbols = [space if character == " " else character for character in sentence]
    table = TokenTable(tuple(dict.fromkeys(symbols)))
    assert table.text([table.symbols.index(symbol) for symbol in symbols]) == sentence


@given(SENTENCES)
def test_text_of_pieces_with_words_begun_as_sentencepiece_does_is_what_was_said(sentence):
    symbols = [f"▁{word[:1]}" for word in sentence.split()]
    pieces = [piece for begun, word in zip(symbols, sentence.split(), strict=True) for piece in (begun, *word[1:])]
    table = TokenTable(tuple(dict.fromkeys(pieces)))
    assert table.text([table.symbols.index(piece) for piece in pieces]) == sentence


@given(st.text(max_size=8))
def test_text_of_the_bytes_of_any_text_is_that_text(text):
    assert _text(*(BYTES[byte] for byte in text.encode())) == " ".join(text.split())


@given(st.lists(st.integers(0, len(TABLE.symbols) - 1), max_size=12))
def test_pieces_of_any_units_come_in_order_and_name_each_unit_once(numbers):
    pieces = list(TABLE.pieces(numbers))
    named = [at for piece in pieces for at in range(piece.start, piece.stop)]
    assert named == sorted(set(named))
    silent = {"<blank>", "<unk>", "<sos/eos>", "<eos>"}
    assert named == [at for at, number in enumerate(numbers) if TABLE.symbols[number] not in silent]


def test_token_table_through_text_is_the_same():
    odd = TokenTable(("<blank>", "\u2028", "\x85", "\u3000", "a\u00a0b", "7", "#"))
    for table in (TABLE, odd):
        assert TokenTable.parse(table.dump()) == table
        assert TokenTable.parse(table.dump().replace("\n", "\r\n")) == table
        assert TokenTable.parse(table.dump().replace(" ", "\t")) == table


@pytest.mark.parametrize("text", ["a", "a 1\n", "a 0\nb 2\n", "a 0\na 1\n", " 0\n", "a zero\n", "a 0\n\nb 1\n"])
def test_token_table_of_a_wrong_file_raises_with_the_line(text):
    with pytest.raises(ValueError, match="line"):
        TokenTable.parse(text)


@pytest.mark.parametrize(
    ("character", "expected"), [("我", True), ("𠮷", True), ("の", True), ("a", False), ("é", False)]
)
def test_is_unspaced_knows_scripts_without_spaces(character, expected):
    assert is_unspaced(character) is expected
