"""The tables. A change here needs a migration beside it; a test compares the two."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

NUMBER = Integer().with_variant(BigInteger(), "postgresql")  # of what is written again and again

pods = Table(
    "pods",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("name", String, nullable=False, unique=True),
    Column("template", String, nullable=False),
    Column("access", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("want", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("env", JSON, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("phase", String, nullable=False),
    Column("message", String, nullable=False),
    Column("since", Float, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("retry_at", Float, nullable=False),
    Column("pending", JSON, nullable=False, server_default="{}"),  # secrets that are to take the place of others
    Column("owner", String, nullable=False, server_default="admin"),  # a user's name; who owns a pod is not deleted
    Column("upstreams", JSON, nullable=False, server_default="{}"),  # by the endpoint, where it was seen last
    CheckConstraint("want IN ('on', 'off', 'deleted')", name="pods_want"),
    sqlite_autoincrement=True,  # a number is never used again
)

events = Table(
    "events",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("pod", Integer, ForeignKey("pods.number", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("message", String, nullable=False),
    Index("events_by_pod", "pod", "number"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", String, primary_key=True),
    Column("hash", String, nullable=False, unique=True),
    Column("scope", String, nullable=False),
)

# What a pod gives to whom, and how its endpoints are used. It goes with the pod.


def _pod() -> Column[str]:
    return Column("pod", String, ForeignKey("pods.key", ondelete="CASCADE"), nullable=False, primary_key=True)


grants = Table(
    "grants",
    metadata,
    _pod(),
    Column("grantee", String, primary_key=True),
    Column("level", String, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("id", String, primary_key=True),
    Column("pod", String, ForeignKey("pods.key", ondelete="CASCADE"), nullable=False),
    Column("level", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),  # SHA-256 of the secret
    Column("password", String, nullable=False),  # argon2id, or empty
    Column("created", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires", Float, nullable=False),
    Column("uses_left", Integer),  # null: any number
    Index("links_by_pod", "pod"),
)

endpoints = Table(
    "endpoints",
    metadata,
    _pod(),
    Column("name", String, primary_key=True),  # empty: the default one
    Column("access", String),  # null: as the pod says
    Column("ip_allow", JSON, nullable=False),
    Column("certificates", Boolean, nullable=False),
    Column("web", JSON, nullable=False),
    Column("hosts", JSON, nullable=False),
    Column("most_links", Integer, nullable=False, server_default="0"),
    Column("most_links_of_user", Integer, nullable=False, server_default="0"),
)

# People, and what proves who they are. It goes with the user.


def _user(*, primary_key: bool = False) -> Column[str]:
    to = ForeignKey("users.name", ondelete="CASCADE")
    return Column("user", String, to, nullable=False, primary_key=primary_key)


users = Table(
    "users",
    metadata,
    Column("name", String, primary_key=True),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("makes_pods", Boolean, nullable=False),
    Column("email", String, nullable=False),
    Column("password", String, nullable=False),  # argon2id, or empty
    Column("since", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("salt", LargeBinary, nullable=False),  # of the SCRAM verifiers of all tokens of the user
)

subjects = Table(
    "subjects",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    _user(),
)

groups = Table("groups", metadata, Column("name", String, primary_key=True))

members = Table(
    "members",
    metadata,
    Column("group", String, ForeignKey("groups.name", ondelete="CASCADE"), primary_key=True),
    _user(primary_key=True),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    _user(),
    Column("hash", String, nullable=False, unique=True),  # SHA-256 of the token
    Column("verifier", String, nullable=False),  # SCRAM-SHA-256 (RFC 5803) under the user's salt
    Column("pod", String, nullable=False),  # a pod's key, or empty
    Column("level", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("last", String, nullable=False),
    UniqueConstraint("user", "name"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", String, primary_key=True),
    _user(),
    Column("began", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("address", String, nullable=False),
    Column("agent", String, nullable=False),
)

ended = Table(
    "ended",
    metadata,
    Column("session", String, primary_key=True),
    Column("until", Float, nullable=False),
)

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("made", Float, nullable=False),
)

# Who did what; without references, for it outlives what it tells of.
audit = Table(
    "audit",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("pod", String, nullable=False),
    Column("address", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("detail", String, nullable=False),
    Index("audit_by_at", "at"),
    Index("audit_by_who", "who", "at"),
    Index("audit_by_pod", "pod", "at"),
    sqlite_autoincrement=True,
)

# What replicas of the controller agree by (controller.store.turns); a store in a file does without.
state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", String, nullable=False),  # of all versions of routes, for the life of the store
    Column("number", NUMBER, nullable=False),  # of the last change
    Column("term", NUMBER, nullable=False),  # rises with each new leader
    Column("leader", String, nullable=False),  # the replica of that term
    Column("place", String, nullable=False, server_default=""),  # where pods run (controller.replicas.place)
    CheckConstraint("id = 1", name="state_one"),
)

changes = Table(
    "changes",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("subject", String, nullable=False),  # a pod's key, or `people`
)

gateways = Table(
    "gateways",
    metadata,
    Column("replica", String, primary_key=True),
    Column("followed", String, primary_key=True),  # the controller's replica
    Column("workers", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("epoch", String, nullable=False),
    Column("number", NUMBER, nullable=False),
    Column("rejected", JSON, nullable=False),
    Column("who", JSON, nullable=False),  # as it said itself
    Column("standing", JSON, nullable=False),
    Column("told_at", Float, nullable=False),  # by the database's clock
)
