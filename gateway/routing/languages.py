"""Language tags as callers write them, and the primary subtags that models are kept under."""

from typing import Final

_NAMES: Final = {
    "cmn": "zh",
    "mandarin": "zh",
    "chinese": "zh",
    "putonghua": "zh",
    "cantonese": "yue",
    "english": "en",
}
# Regions and variants in which Chinese, written as zh, means spoken Cantonese.
_CANTONESE: Final = {"zh-yue", "zh-hk", "zh-mo", "zh-hant-hk", "zh-hant-mo"}


def primary(tag: str) -> str:
    """The primary language of a BCP-47 tag or an English name: zh-CN -> zh, zh-HK -> yue, en_US -> en.

    Unknown ones come back in lower case, for the error that names them.
    """
    normal = tag.strip().lower().replace("_", "-")
    if normal in _CANTONESE:
        return "yue"
    first = normal.partition("-")[0]
    return _NAMES.get(first, first)
