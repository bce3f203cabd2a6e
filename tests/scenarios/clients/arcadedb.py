"""What ArcadeDB gives to drivers of Neo4j, feature by feature: the table in docs/bolt.md, with the values behind it."""

from typing import Any, NamedTuple

MANY = "a result of many records"
SOMEBODY_ELSE = "a session as somebody else, who may only read"
WHATEVER = object()  # another value for each driver


class Row(NamedTuple):
    """A feature, what drivers get of it, and what that comes to."""

    feature: str
    value: Any
    told: str = "yes"


TABLE = (
    Row("auto-commit queries", [1]),
    Row("explicit transactions: commit", [1, 1]),
    Row("explicit transactions: rollback", [1, 0]),
    Row("managed transactions", 1),
    Row("execute_query", [1, 2]),
    Row("two results open in one transaction", [100, 19_900]),
    Row("eight sessions at once", [0, 1, 2, 3, 4, 5, 6, 7]),
    Row(SOMEBODY_ELSE, [1, "Neo.ClientError.Security.Forbidden", 0]),
    Row("metadata and time limit of a transaction", 1, "taken"),
    Row("a time limit ends a query", "nothing refused", "no: the query goes on to its end"),
    Row("bookmarks", "none given", "no: it gives none"),
    Row("acting for somebody else (impersonation)", "nothing refused", "no: not heeded, you stay who you are"),
    Row("plain values, as parameters and back", [True] * 8),
    Row("integers of 64 bits", ["9223372036854775807", "-9223372036854775808", "9007199254740993"]),
    Row("bytes", True),
    Row("dates, as parameters and back", [True, "2026-11-22"]),
    Row("dates and durations that the server makes", [True, True, "2026-11-22", [0, 1, 7200]]),
    Row("points, as parameters and back", [4326, [1.5, 2.5]]),
    Row("nodes, relationships and paths", [["Town"], {"name": "a"}, "ROAD", {"km": 7}, ["a", "b"], 1, True]),
    Row(MANY, WHATEVER, "yes, tried with 100,000"),
    Row("a result given up in its midst", [1, 2]),
    Row("a parameter of a megabyte", 1 << 20),
    Row("a value of a megabyte", 1 << 20),
    Row("counters of what was written", [1, 1, 1]),
    Row("the kind of a query", "r"),
    Row("EXPLAIN shows a plan", True),
    Row("procedures", "nothing refused", "its own few, such as db.labels"),
    Row("CALL … IN TRANSACTIONS", "nothing refused"),
    Row("SHOW DATABASES", "nothing refused"),
    Row("no database named", 1, "the first there is"),
    Row("a constraint, which is kept", ["nothing refused", "Neo.ClientError.Schema.ConstraintValidationFailed"]),
    Row("the databases `neo4j` and `system`", [1, 1], "answered from the first there is"),
    Row("a database of another name that is not there", "Neo.ClientError.Database.DatabaseNotFound", "refused"),
    Row("a syntax error, and the session goes on", ["Neo.ClientError.Statement.SyntaxError", 1]),
    Row("a failure within a transaction, and the session goes on", ["Neo.ClientError.Statement.SyntaxError", 0]),
    Row("the newest version of Bolt", WHATEVER, "5.4"),
)


def in_markdown() -> str:
    """Give the rows as they stand in docs/bolt.md."""
    return "".join(f"| {row.feature} | {row.told} |\n" for row in TABLE)
