"""What replicas of the controller agree by, and where pods were seen last."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Make the tables, and the one row of the state."""
    op.add_column("pods", sa.Column("upstreams", sa.JSON, nullable=False, server_default="{}"))
    state = op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.String, nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("term", NUMBER, nullable=False),
        sa.Column("leader", sa.String, nullable=False),
        sa.CheckConstraint("id = 1", name="state_one"),
    )
    op.create_table(
        "changes",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String, nullable=False),
    )
    op.create_table(
        "gateways",
        sa.Column("replica", sa.String, primary_key=True),
        sa.Column("followed", sa.String, primary_key=True),
        sa.Column("workers", sa.Integer, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("epoch", sa.String, nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("rejected", sa.JSON, nullable=False),
        sa.Column("who", sa.JSON, nullable=False),
        sa.Column("standing", sa.JSON, nullable=False),
        sa.Column("told_at", sa.Float, nullable=False),
    )
    first = {"id": 1, "epoch": secrets.token_hex(8), "number": 1, "term": 0, "leader": ""}
    op.bulk_insert(state, [first])
