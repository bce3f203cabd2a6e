"""Passwords of pods that are about to be others, and how many connections an endpoint takes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("pods", sa.Column("pending", sa.JSON, nullable=False, server_default="{}"))
    for name in ("most_links", "most_links_of_user"):
        op.add_column("endpoints", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
