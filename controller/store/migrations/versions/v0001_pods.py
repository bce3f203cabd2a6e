"""Pods, their events and tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "pods",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("template", sa.String, nullable=False),
        sa.Column("access", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("want", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("env", sa.JSON, nullable=False),
        sa.Column("secrets", sa.JSON, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("restarts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Float, nullable=False),
        sa.CheckConstraint("want IN ('on', 'off', 'deleted')", name="pods_want"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("pod", sa.Integer, sa.ForeignKey("pods.number", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_pod", "events", ["pod", "number"])
    op.create_table(
        "tokens",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        sa.Column("scope", sa.String, nullable=False),
    )
