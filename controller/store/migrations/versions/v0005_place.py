"""Where the pods of a store that replicas share run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it, unknown at first: the next replica that starts says where."""
    op.add_column("state", sa.Column("place", sa.String, nullable=False, server_default=""))
