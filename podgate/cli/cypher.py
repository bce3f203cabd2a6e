"""`podgate cypher`: a small prompt for graph pods, over the official Neo4j driver.

Unlike cypher-shell it trusts a private authority without changing Java's store, and reaches names below `localhost`
without a resolver. Statements end with `;` and come from a terminal or from standard input.
"""

import contextlib
import getpass
import importlib
import json
import os
import re
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from podgate.cli.client import LOCAL_ADDRESS, Target, distrust, is_local
from podgate.cli.failure import Failure
from podgate.cli.output import Json, answer_json, answer_table, progress, talk

if TYPE_CHECKING:
    import neo4j

SCHEMES = ("bolt+s", "neo4j+s")
DEFAULT_PORT = 7687
LEAVE = frozenset({":quit", ":exit", "quit", "exit"})

# One piece of Cypher: a quoted text, a comment, the end of a statement, or anything else. What was opened and is not
# closed yet reaches to the end: the next line may close it.
_PIECE = re.compile(
    r"""'(?:\\.|[^'\\])*(?:'|\\?\Z) | "(?:\\.|[^"\\])*(?:"|\\?\Z) | `[^`]*(?:`|\Z)
      | //[^\n]* | /\*.*?(?:\*/|\Z) | (?P<end>;) | .""",
    re.DOTALL | re.VERBOSE,
)


class NamedContext(ssl.SSLContext):
    """A TLS context that verifies the server as `name`, whatever address the connection was made to."""

    name: str

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """Wrap a socket, expecting the server's real name."""
        return super().wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, self.name, session)


def cypher(
    uri: Annotated[str, typer.Argument(help="bolt+s://HOST:PORT, as `podgate pod show` prints it.")],
    user: Annotated[str, typer.Option(help="Who to sign in as.")],
    ca: Annotated[Path | None, typer.Option(help="The authority to trust; Podgate's own if left out.")] = None,
    database: Annotated[str | None, typer.Option(help="The database; the server's default if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Run Cypher: a prompt on a terminal, else standard input. The password comes from NEO4J_PASSWORD or a question."""
    password = os.environ.get("NEO4J_PASSWORD") or _ask_password(user)
    with _explained(), _driver(uri, user, password, ca or Target.from_environment().ca) as driver:
        with progress(f"connecting to {urlsplit(uri).hostname}"):
            driver.verify_connectivity()
        with driver.session(database=database) as session:
            if sys.stdin.isatty():
                _converse(session, as_json)
            else:
                for statement in statements(iter(sys.stdin)):
                    _run(session, statement, as_json)


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


def _converse(session: "neo4j.Session", as_json: bool) -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # history and editing for input()
    talk("End statements with ';', leave with :quit or Ctrl-D.")
    for statement in statements(_typed()):
        try:
            _run(session, statement, as_json)
        except Failure as failure:
            talk(str(failure))


def _typed() -> Iterator[str]:
    """Give the lines a person types, until they leave."""
    while True:
        try:
            line = input("cypher> ")
        except EOFError:
            talk("")
            return
        if line.strip().rstrip(";").lower() in LEAVE:
            return
        yield line + "\n"


def _run(session: "neo4j.Session", statement: str, as_json: bool) -> None:
    import neo4j.exceptions

    try:
        with progress("running"):
            result = session.run(statement)
            columns, records = result.keys(), [record.values() for record in result]
    except neo4j.exceptions.Neo4jError as error:
        raise Failure(f"{error.code}: {error.message}") from None
    if as_json:
        answer_json([dict(zip(columns, map(plain, record), strict=True)) for record in records])
    elif columns:
        answer_table(columns, [[shown(value) for value in record] for record in records])


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


def _driver(uri: str, user: str, password: str, ca: Path) -> "neo4j.Driver":
    try:
        import neo4j
    except ImportError:
        raise Failure("the Neo4j driver is not installed; run: pip install 'podgate[clients]'") from None
    parts = urlsplit(uri)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise typer.BadParameter(f"expected bolt+s://HOST:PORT, got {uri!r}", param_hint="URI")
    address = LOCAL_ADDRESS if is_local(parts.hostname) else parts.hostname
    return neo4j.GraphDatabase.driver(
        f"bolt://{address}:{parts.port or DEFAULT_PORT}",
        auth=(user, password),
        ssl_context=_context(parts.hostname, ca),
        user_agent="podgate",
    )


def _context(name: str, ca: Path) -> ssl.SSLContext:
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.load_default_certs()
    if ca.exists():
        context.load_verify_locations(ca)
    return context


def _ask_password(user: str) -> str:
    if not sys.stdin.isatty():
        raise Failure("standard input is no terminal to ask for the password; set NEO4J_PASSWORD")
    return getpass.getpass(f"Password of {user}: ", stream=sys.stderr)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what the driver raises into sentences."""
    try:
        import neo4j.exceptions as known
    except ImportError:
        yield  # `_driver` says what is missing
        return
    try:
        yield
    except known.AuthError:
        raise Failure("the server refused this user and password; see them with: podgate pod show") from None
    except known.Neo4jError as error:
        raise Failure(f"{error.code}: {error.message}") from None
    except known.DriverError as error:
        if reason := distrust(error):
            raise Failure(f"the server's certificate is not trusted: {reason}; name its authority with --ca") from None
        text = " ".join(str(error).split())
        raise Failure(f"cannot talk to the server: {text}; check with: podgate pod show") from None
