"""What an import is asked for, and what came of it."""

from typing import Literal

from msgspec import Struct

Layout = Literal["wenet", "paddlespeech"]


class ImportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to import, and as which model; a recogniser needs a language, a language classifier takes none.

    `source` is a directory or a `.tar.gz`. Without a `layout`, it is told by the files that are there.
    """

    source: str
    name: str
    language: str | None = None
    domain: str | None = None
    layout: Layout | None = None


class Imported(Struct, frozen=True, kw_only=True):
    """What came of it."""

    version: str
    name: str
    kind: str
    layout: str
    language: str | None
    domain: str | None
    labels: tuple[str, ...]
    weights_bytes: int
