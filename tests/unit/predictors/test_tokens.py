"""Units become text the way WeNet joins them."""

import pytest

from model_store.predictors.tokens import TokenTable, is_unspaced

TABLE = TokenTable(("<blank>", "<unk>", "<sos/eos>", "我", "爱", "▁HELLO", "▁WOR", "LD", "▁", "a"))


def _text(*symbols: str) -> str:
    return TABLE.text([TABLE.symbols.index(symbol) for symbol in symbols])


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ([], ""),
        (["我", "爱"], "我爱"),
        (["▁HELLO", "▁WOR", "LD"], "HELLO WORLD"),
        (["我", "▁HELLO", "爱"], "我 HELLO爱"),
        (["我", "爱", "▁", "a"], "我爱 a"),
        (["▁", "▁", "a", "▁", "▁", "a", "▁"], "a a"),
        (["<unk>", "我", "<sos/eos>"], "我"),
    ],
)
def test_text_has_spaces_only_where_units_say_so(symbols, text):
    assert _text(*symbols) == text


def test_token_table_through_text_is_the_same():
    assert TokenTable.parse(TABLE.dump()) == TABLE


@pytest.mark.parametrize("text", ["a", "a 1\n", "a 0\nb 2\n", "a 0\na 1\n", " 0\n", "a zero\n", "a 0\n\nb 1\n"])
def test_token_table_of_a_wrong_file_raises_with_the_line(text):
    with pytest.raises(ValueError, match="line"):
        TokenTable.parse(text)


@pytest.mark.parametrize(
    ("character", "expected"), [("我", True), ("𠮷", True), ("の", True), ("a", False), ("é", False)]
)
def test_is_unspaced_knows_scripts_without_spaces(character, expected):
    assert is_unspaced(character) is expected
