"""Users and what proves who they are; owners, grants, links and endpoints of pods; the audit log.

Every pod there is becomes the user `admin`'s, who is made when the controller starts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Make the tables of identity."""
    op.add_column("pods", sa.Column("owner", sa.String, nullable=False, server_default="admin"))
    _sharing()
    _people()
    _proofs()
    _audit()


def _sharing() -> None:
    op.create_table(
        "grants",
        _of_pod(primary_key=True),
        sa.Column("grantee", sa.String, primary_key=True),
        sa.Column("level", sa.String, nullable=False),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.String, primary_key=True),
        _of_pod(),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        sa.Column("password", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("uses_left", sa.Integer),
    )
    op.create_index("links_by_pod", "links", ["pod"])
    op.create_table(
        "endpoints",
        _of_pod(primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("access", sa.String),
        sa.Column("ip_allow", sa.JSON, nullable=False),
        sa.Column("certificates", sa.Boolean, nullable=False),
        sa.Column("web", sa.JSON, nullable=False),
        sa.Column("hosts", sa.JSON, nullable=False),
    )


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("makes_pods", sa.Boolean, nullable=False),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("password", sa.String, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "subjects",
        sa.Column("issuer", sa.String, primary_key=True),
        sa.Column("subject", sa.String, primary_key=True),
        _of_user(),
    )
    op.create_table("groups", sa.Column("name", sa.String, primary_key=True))
    op.create_table(
        "members",
        sa.Column("group", sa.String, sa.ForeignKey("groups.name", ondelete="CASCADE"), primary_key=True),
        _of_user(primary_key=True),
    )


def _proofs() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        _of_user(),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        sa.Column("verifier", sa.String, nullable=False),
        sa.Column("pod", sa.String, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float),
        sa.Column("last", sa.String, nullable=False),
        sa.UniqueConstraint("user", "name"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String, primary_key=True),
        _of_user(),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
    )
    op.create_table(
        "ended",
        sa.Column("session", sa.String, primary_key=True),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_table(
        "sealing_keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("made", sa.Float, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("pod", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_at", "audit", ["at"])
    op.create_index("audit_by_who", "audit", ["who", "at"])
    op.create_index("audit_by_pod", "audit", ["pod", "at"])


def _of_pod(*, primary_key: bool = False) -> sa.Column[str]:
    to = sa.ForeignKey("pods.key", ondelete="CASCADE")
    return sa.Column("pod", sa.String, to, nullable=False, primary_key=primary_key)


def _of_user(*, primary_key: bool = False) -> sa.Column[str]:
    to = sa.ForeignKey("users.name", ondelete="CASCADE")
    return sa.Column("user", sa.String, to, nullable=False, primary_key=primary_key)
