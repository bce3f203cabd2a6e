"""The tables. A change here needs a migration beside it; a test compares the two."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

metadata = MetaData()

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
    CheckConstraint("want IN ('on', 'off', 'deleted')", name="pods_want"),
    sqlite_autoincrement=True,  # a number is never used again
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
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
