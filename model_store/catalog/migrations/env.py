"""Alembic runs this file for every command; the connection, inside its transaction, comes from `schema.py`."""

from alembic import context

from model_store.catalog.tables import Base

# SQLite alters a table by copying it, hence batches. Alembic believes that SQLite cannot undo DDL; ours can, since
# `engine.py` begins transactions itself.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
