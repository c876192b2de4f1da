"""Where the catalogue lives."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import URL

DATABASE_FILE = "catalog.sqlite3"


class CatalogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the catalogue."""

    url: Annotated[
        str,
        Meta(description="SQLAlchemy address of the catalogue's database; empty: an SQLite file in the data folder"),
    ] = ""

    def url_in(self, data_dir: Path) -> str:
        """The address to open: the one set, else that of the file in `data_dir`."""
        file = URL.create("sqlite+aiosqlite", database=str(data_dir / DATABASE_FILE))
        return self.url or file.render_as_string(hide_password=False)
