"""`podgate cypher`: a small prompt for graph pods.

Unlike cypher-shell it trusts a private authority without changing Java's store, and reaches names below `localhost`
without a resolver. Statements end with `;` and come from a terminal or from standard input. On a terminal Ctrl-C clears
what is typed or gives up what runs, as in psql, and a line that begins with `:` is for the prompt itself.
"""

import contextlib
import getpass
import importlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from podgate.cli.bolt import Database, Server
from podgate.cli.client import Target
from podgate.cli.failure import Failure
from podgate.cli.output import answer, answer_table, json_text, progress, talk

LEAVE = frozenset({":quit", ":exit", "quit", "exit"})
HELP = """\
Statements end with ';' and may take several lines.
Ctrl-C   clear what is typed, or give up what runs: the server may go on with it for a while
:help    this
:quit    leave, as Ctrl-D does"""

# One piece of Cypher: a quoted text, a comment, the end of a statement, or anything else. What was opened and is not
# closed yet reaches to the end: the next line may close it.
_PIECE = re.compile(
    r"""'(?:\\.|[^'\\])*(?:'|\\?\Z) | "(?:\\.|[^"\\])*(?:"|\\?\Z) | `[^`]*(?:`|\Z)
      | //[^\n]* | /\*.*?(?:\*/|\Z) | (?P<end>;) | .""",
    re.DOTALL | re.VERBOSE,
)


def cypher(
    uri: Annotated[str, typer.Argument(help="bolt+s://HOST:PORT, as `podgate pod show` prints it.")],
    user: Annotated[str, typer.Option(help="Who to sign in as.")],
    ca: Annotated[Path | None, typer.Option(help="The authority to trust; Podgate's own if left out.")] = None,
    database: Annotated[str | None, typer.Option(help="The database; the server's default if left out.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer each statement with one line: a JSON array of its rows, as objects.")
    ] = False,
) -> None:
    """Run Cypher: a prompt on a terminal, else standard input. The password comes from NEO4J_PASSWORD or a question."""
    password = os.environ.get("NEO4J_PASSWORD") or _ask_password(user)
    server = Server(uri, user, password, ca or Target.from_environment().ca, database)
    with Database(server) as graph:
        with progress(f"connecting to {urlsplit(uri).hostname}"):
            graph.check()
        if sys.stdin.isatty():
            _converse(graph, as_json)
        else:
            for statement in statements(iter(sys.stdin)):
                _run(graph, statement, as_json)


def statements(lines: Iterable[str]) -> Iterator[str]:
    """Part Cypher into statements at each `;` that is not inside a text or a comment; the last may lack its own."""
    pending = ""
    for line in lines:
        pending += line
        *whole, pending = _split(pending)
        yield from whole
    if _says_something(pending):
        yield pending.strip()


def _split(text: str) -> list[str]:
    """Give the whole statements in `text` and, last, what is left over."""
    found, start = [], 0
    for piece in _PIECE.finditer(text):
        if piece["end"]:
            if _says_something(statement := text[start : piece.start()]):
                found.append(statement.strip())
            start = piece.end()
    return [*found, text[start:]]


def _says_something(text: str) -> bool:
    return bool(re.sub(r"//[^\n]*|/\*.*?\*/|\s", "", text, flags=re.DOTALL))


def _converse(graph: Database, as_json: bool) -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # history and editing for input()
    talk("End statements with ';', leave with :quit or Ctrl-D; :help tells more.")
    pending = ""
    while True:
        try:
            line = input("   ...> " if _says_something(pending) else "cypher> ")
            word = line.strip().rstrip(";").lower()
            if word in LEAVE:
                return
            if word.startswith(":") and (word == ":help" or not _says_something(pending)):
                talk(HELP if word == ":help" else f"{word.split()[0]} is no command of this prompt; see :help")
                continue
            *whole, pending = _split(f"{pending}{line}\n")
            for statement in whole:
                _run(graph, statement, as_json)
        except KeyboardInterrupt:
            pending = ""
            talk("")
        except Failure as failure:
            talk(str(failure))
        except EOFError:
            talk("")
            return


def _run(graph: Database, statement: str, as_json: bool) -> None:
    with progress("running"):
        found = graph.run(statement)
    if as_json:
        rows = [dict(zip(found.columns, map(plain, row), strict=True)) for row in found.rows]
        answer(json_text(rows))
        return
    if found.rows:
        answer_table(found.columns, [[shown(value) for value in row] for row in found.rows])
    if sys.stderr.isatty() and (found.changes or not found.rows):
        talk(", ".join(found.changes) or "no rows")


def plain(value: object) -> object:
    """Give a value as JSON can carry it: nodes and relationships by their labels, types and properties."""
    import neo4j.graph

    if isinstance(value, neo4j.graph.Node):
        return {"labels": sorted(value.labels), "properties": {key: plain(item) for key, item in value.items()}}
    if isinstance(value, neo4j.graph.Relationship):
        return {"type": value.type, "properties": {key: plain(item) for key, item in value.items()}}
    if isinstance(value, neo4j.graph.Path):
        return {
            "nodes": [plain(node) for node in value.nodes],
            "relationships": [plain(r) for r in value.relationships],
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def shown(value: object) -> str:
    """Give a value as a cell of a table."""
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def _ask_password(user: str) -> str:
    if not sys.stdin.isatty():
        raise Failure("standard input is no terminal to ask for the password; set NEO4J_PASSWORD")
    return getpass.getpass(f"Password of {user}: ", stream=sys.stderr)
