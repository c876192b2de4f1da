"""Rules of single models: pinned, keep-alive, priority, whether the CPU may stand in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "model_rules",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("is_pinned", sa.Boolean()),
        sa.Column("keep_alive_s", sa.Double()),
        sa.Column("priority", sa.String(16)),
        sa.Column("may_use_cpu", sa.Boolean()),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_model_rules")),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_model_rules_model_models")),
    )


def downgrade() -> None:
    """Back from this revision."""
    op.drop_table("model_rules")
