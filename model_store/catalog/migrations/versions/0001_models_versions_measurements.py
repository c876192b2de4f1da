"""Models, their versions, which version takes the traffic, and what loading a version took."""

import sqlalchemy as sa
from alembic import op

revision = "0001"  # at most 32 characters fit into alembic_version
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "models",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("language", sa.String(35)),
        sa.Column("domain", sa.String(64)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_table(
        "versions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_versions")),
        sa.UniqueConstraint("model", "digest", name=op.f("uq_versions_model_digest")),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_versions_model_models")),
    )
    op.create_table(
        "rollouts",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("stable", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_rollouts")),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_rollouts_model_models")),
        sa.ForeignKeyConstraint(
            ["model", "stable"],
            ["versions.model", "versions.digest"],
            name=op.f("fk_rollouts_model_stable_versions"),
        ),
    )
    op.create_table(
        "measurements",
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("device_kind", sa.String(16), nullable=False),
        sa.Column("precision", sa.String(16), nullable=False),
        sa.Column("steady_bytes", sa.BigInteger(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=False),
        sa.Column("load_s", sa.Double(), nullable=False),
        sa.Column("measured_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("version", "device_kind", "precision", name=op.f("pk_measurements")),
        sa.ForeignKeyConstraint(["version"], ["versions.digest"], name=op.f("fk_measurements_version_versions")),
    )


def downgrade() -> None:
    """Back from this revision."""
    for table in ("measurements", "rollouts", "versions", "models"):
        op.drop_table(table)
