"""Brings a database's schema to what this code expects, with Alembic, from the revisions shipped in the package."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from model_store.errors import OptionInvalid


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the revisions that are missing, inside the transaction that `connection` has begun.

    Raises OptionInvalid for a database that a newer Voxgate has written.
    """
    config = _config(connection)
    _refuse_unknown(connection, config)
    command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take back the revisions after `revision` ("base": all of them) and the data that only they can hold."""
    command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "model_store.catalog:migrations")
    config.attributes["connection"] = connection
    return config


def _refuse_unknown(connection: Connection, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise OptionInvalid(
            f"The catalogue's database is at revision {', '.join(sorted(unknown))}, which this Voxgate does not know: "
            "a newer one has written it. Upgrade voxgate, or point catalog.url at another database.",
            param="catalog.url",
        )
