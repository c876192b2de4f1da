"""The units of a foreign model, as each source lists them."""

from collections.abc import Sequence
from pathlib import Path

from model_store.errors import ImportFailed
from model_store.predictors.tokens import BLANK, SPACE, TokenTable

_MAX_BYTES = 16 << 20
_END = "<eos>"


def read_units(path: Path) -> TokenTable:
    """WeNet's table: a symbol and its number per line. Raises ImportFailed naming the line that is wrong."""
    try:
        return TokenTable.parse(_text(path))
    except ValueError as exc:
        raise ImportFailed(f"{path.name} cannot be read: {exc}.") from exc


def read_vocabulary(path: Path) -> TokenTable:
    """PaddleSpeech's list: a symbol per line, its number after it or not. Raises ImportFailed naming a wrong line."""
    lines = [line.split(" ") for line in _text(path).removesuffix("\n").split("\n")]
    table = listed_units([symbol for symbol, *_ in lines], path.name)
    start = 0 if BLANK in (symbol for symbol, *_ in lines) else 1
    for number, (symbol, *rest) in enumerate(lines, start=start):
        if rest not in ([], [str(number)]):
            raise ImportFailed(f"{path.name}: {symbol!r} is unit {number}, and its line says {' '.join(rest)}.")
    return table


def listed_units(symbols: Sequence[str], told: str) -> TokenTable:
    """The table of symbols in their order, with what PaddleSpeech's load_dict adds."""
    whole = [*([] if BLANK in symbols else [BLANK]), *symbols, *([] if _END in symbols else [_END])]
    numbers: dict[str, int] = {}
    for number, symbol in enumerate(whole):
        if not symbol or symbol in numbers or set(symbol) & set(" \t\r\n"):
            raise ImportFailed(f"{told}: unit {number} is {symbol!r}; it needs a symbol that no other unit has.")
        numbers[symbol] = number
    return TokenTable(tuple(whole))


def check_units(table: TokenTable, units: int, told: str, *, is_asr: bool = True) -> None:
    """Refuse a table of another size than the output layer's, or without a blank at its start."""
    if len(table.symbols) != units:
        raise ImportFailed(f"{told} has {len(table.symbols)} units, output_dim is {units}.")
    if is_asr and table.symbols[0] not in {BLANK, "<blk>"}:
        raise ImportFailed(f"{told}: unit 0 is {table.symbols[0]!r}, it must be {BLANK}.")


def check_end(table: TokenTable, told: str) -> None:
    """Refuse a table whose last unit is not PaddleSpeech's <eos>, with which hypotheses begin and end."""
    if table.symbols[-1] != _END:
        last = len(table.symbols) - 1
        raise ImportFailed(f"{told}: unit {last} is {table.symbols[-1]!r}, it must be {_END}.")


def has_pieces(table: TokenTable) -> bool:
    """Whether units are pieces of words: then some begin one, with more than the sign for it."""
    return any(symbol.startswith(SPACE) and symbol != SPACE for symbol in table.symbols)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ImportFailed(f"{path.name} has more than {_MAX_BYTES} bytes.")
        return path.read_text("utf-8")
    except UnicodeDecodeError as exc:
        raise ImportFailed(f"{path.name} is not UTF-8: {exc.reason}.") from exc
    except OSError as exc:
        raise ImportFailed(f"{path.name} cannot be read: {exc.strerror}.") from exc
