"""Rules of single models: engine and precision."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("model_rules", sa.Column("engine", sa.String(16)))
    op.add_column("model_rules", sa.Column("precision", sa.String(16)))


def downgrade() -> None:
    """Back from this revision."""
    op.drop_column("model_rules", "precision")
    op.drop_column("model_rules", "engine")
