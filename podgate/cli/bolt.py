"""A database over Bolt, by the official Neo4j driver, which is imported only when there is something to ask."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import typer

from podgate.cli.client import LOCAL_ADDRESS, distrust, is_local
from podgate.cli.failure import Failure

if TYPE_CHECKING:
    import neo4j

SCHEMES = ("bolt+s", "neo4j+s")
DEFAULT_PORT = 7687


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: rows, and what it changed, such as `1 node created`."""

    columns: list[str]
    rows: list[list[object]]
    changes: list[str]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a database is, how to be let in, and the authority its certificate is to be signed by."""

    uri: str
    user: str
    password: str = field(repr=False)
    ca: Path
    database: str | None


class Database:
    """A database that is asked one statement after the other. Every call raises Failure with a sentence for people."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._driver = _driver(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._driver.close()

    def check(self) -> None:
        """See that it is there and lets us in."""
        with _explained():
            self._driver.verify_connectivity()

    def run(self, statement: str) -> Answer:
        """Run a statement. After KeyboardInterrupt it is the server's alone, and the next one gets a new connection."""
        with _explained(), self._driver.session(database=self._server.database) as session:
            try:
                result = session.run(statement)
                columns, rows = list(result.keys()), [record.values() for record in result]
                return Answer(columns, rows, changes(vars(result.consume().counters)))
            except KeyboardInterrupt:
                self._driver.close()  # first: the end of the session would wait for the rest of the answer
                self._driver = _driver(self._server)
                raise


def changes(counters: Mapping[str, object]) -> list[str]:
    """Put the driver's counters, such as `nodes_created`, into words."""
    found = []
    for name, count in counters.items():
        noun, _, verb = name.partition("_")
        if noun and isinstance(count, int) and count:
            one = {"properties": "property", "indexes": "index"}.get(noun, noun.removesuffix("s"))
            found.append(f"{count} {one if count == 1 else noun} {verb.replace('_', ' ')}")
    return found


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


def _driver(server: Server) -> "neo4j.Driver":
    try:
        import neo4j
    except ImportError:
        raise Failure("the Neo4j driver is not installed; run: pip install 'podgate[clients]'") from None
    parts = urlsplit(server.uri)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise typer.BadParameter(f"expected bolt+s://HOST:PORT, got {server.uri!r}", param_hint="URI")
    address = LOCAL_ADDRESS if is_local(parts.hostname) else parts.hostname
    return neo4j.GraphDatabase.driver(
        f"bolt://{address}:{parts.port or DEFAULT_PORT}",
        auth=(server.user, server.password),
        ssl_context=_context(parts.hostname, server.ca),
        user_agent="podgate",
    )


def _context(name: str, ca: Path) -> ssl.SSLContext:
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.load_default_certs()
    if ca.exists():
        context.load_verify_locations(ca)
    return context


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what the driver raises into sentences."""
    import neo4j.exceptions as known

    try:
        yield
    except known.AuthError as error:  # in the gateway's words, or the database's
        cure = "what it takes tells: podgate pod show NAME"
        words = (error.message or error.code or "no reason given").rstrip(".")
        raise Failure(f"the server refused this user and password: {words}; {cure}") from None
    except known.Neo4jError as error:
        raise Failure(f"{error.code}: {error.message}") from None
    except known.DriverError as error:
        if reason := distrust(error):
            raise Failure(f"the server's certificate is not trusted: {reason}; name its authority with --ca") from None
        text = " ".join(str(error).split())
        raise Failure(f"cannot talk to the server: {text}; check with: podgate pod show") from None
