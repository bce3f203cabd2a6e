"""Sets the passwords of a Postgres pod's roles, as the role `keeper` that may do nothing else.

The pod may be anybody's program that only looks like a database: it is told no password but in a SCRAM exchange, by
which it learns none, and it gets a bounded time. What it is told of the others' passwords are verifiers (RFC 5803).
"""

import base64
import hashlib
import hmac
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import trio

from controller.model import Pod
from controller.templates import KEEPER, Template
from router.access import AccessLevel
from router.model import UnixAddress
from router.routedocument import parse_address

LIMIT = 10.0  # seconds for all of it, once a thread is free
CONNECT_LIMIT = 3  # seconds until a database that says nothing is left
ITERATIONS = 4096  # of SCRAM (RFC 7677): the passwords are random
MOST_AT_ONCE = 16  # threads
MOST_NAMES = 5  # of the sessions that were ended
LONGEST_NAME = 64  # characters of each
_DATABASE = "postgres"  # where the keeper's functions are
_ATTEMPTS = 3  # at giving the levels what the owner makes
_TIMEOUTS = "-c statement_timeout=5s"
_Result = TypeVar("_Result")
_Row = tuple[Any, ...]

# Who is in the middle of taking the defaults away, by DROP OWNED: the owner may end them.
_MAKE_WAY = """
WITH others AS MATERIALIZED (
    SELECT pid FROM pg_stat_activity WHERE usename = ANY(%s) AND pid IN (
        SELECT pid FROM pg_locks WHERE relation = 'pg_default_acl'::regclass AND mode = 'RowExclusiveLock'))
SELECT pg_terminate_backend(pid) FROM others
"""


class KeepFailed(Exception):
    """The passwords could not be set, for this reason."""


class Stalled(KeepFailed):
    """The database does not answer in time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What had to be done: levels where something was otherwise, and what the sessions that were ended are called."""

    changed: frozenset[str] = frozenset()
    ended: tuple[str, ...] = ()


class RoleKeeper:
    """Does it by libpq, in threads."""

    def __init__(self, limit: float = LIMIT, at_once: int = MOST_AT_ONCE) -> None:
        self._limit = limit
        self._room = trio.CapacityLimiter(at_once)

    async def keep(
        self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str], repeated: Collection[str] = ()
    ) -> Kept:
        """Set passwords by level; where anything was otherwise again, for `repeated` levels, end their sessions too.

        Raises KeepFailed.
        """
        secret = pod.secrets[KEEPER]
        users = {each.level: each.user for each in template.credentials}
        wanted = {level: verifier(secret, users[level], password) for level, password in passwords.items()}
        work = _Work(_facts(address, template.keeper, secret))
        return await self._run(pod, work, lambda: work.keep(users, wanted, repeated))

    async def restore(self, pod: Pod, template: Template, address: str, password: str) -> None:
        """Give the levels what the owner makes from now on, as in a new pod, with the owner's password.

        What an owner has changed of these defaults on purpose is lost; so this is for rotations only, and what is
        granted on what there is already stays as it is. Raises KeepFailed.
        """
        users = {each.level: each.user for each in template.credentials}
        owner = users.pop(str(AccessLevel.OWNER))
        facts = _facts(address, owner, password, template.database(pod.name))
        work = _Work({**facts, "options": f"{_TIMEOUTS} -c lock_timeout=500ms -c default_transaction_read_only=off"})
        await self._run(pod, work, lambda: work.restore(_defaults(template), list(users.values())))

    async def _run(self, pod: Pod, work: "_Work", do: Callable[[], _Result]) -> _Result:
        """Do it in a thread. Raises KeepFailed."""

        def begun() -> _Result:
            trio.from_thread.run_sync(begin)
            return do()

        def begin() -> None:
            scope.deadline = trio.current_time() + self._limit

        try:
            with trio.CancelScope() as scope:  # without a deadline as long as others have all threads
                return await trio.to_thread.run_sync(begun, limiter=self._room, abandon_on_cancel=True)
        except psycopg.errors.ConnectionTimeout:
            raise Stalled("the database does not answer in time") from None
        except psycopg.Error as error:
            raise KeepFailed(_reason(pod, error)) from error
        finally:
            work.end()
        raise Stalled("the database does not answer in time")


class _Work:
    """What a thread does; `end` frees the thread from a database that does not answer."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._connection: psycopg.Connection[_Row] | None = None

    def keep(self, users: Mapping[str, str], verifiers: Mapping[str, str], repeated: Collection[str]) -> Kept:
        changed, ended = set(), list[_Row]()
        with psycopg.connect(**self._facts, autocommit=True) as self._connection:
            for level, text in verifiers.items():
                if not _set_right(self._connection, users[level], text):
                    continue
                changed.add(level)
                if level in repeated:
                    ended += self._connection.execute("SELECT * FROM podgate.part(%s)", (users[level],)).fetchall()
                    _set_right(self._connection, users[level], text)  # what they did until they were ended
        return Kept(frozenset(changed), _names(ended))

    def restore(self, statements: str, others: list[str]) -> None:
        with psycopg.connect(**self._facts, autocommit=True) as self._connection:
            for attempt in range(_ATTEMPTS):
                try:
                    self._connection.execute(statements.encode())
                    return
                except (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_):
                    if attempt == _ATTEMPTS - 1:
                        raise
                self._connection.execute(_MAKE_WAY, (others,))

    def end(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as stream:
            stream.shutdown(socket.SHUT_RDWR)


def _set_right(connection: psycopg.Connection[_Row], user: str, text: str) -> bool:
    found = connection.execute("SELECT podgate.keep(%s, %s)", (user, text)).fetchone()
    return bool(found and found[0])


def _names(rows: Iterable[_Row]) -> tuple[str, ...]:
    """Give some of what sessions called themselves, fit for a log: anybody can call himself anything."""
    names = dict.fromkeys(str(name)[:LONGEST_NAME] for (name,) in rows)
    kept = ("".join(sign for sign in name if sign.isprintable()) for name in names)
    return tuple(name for name in kept if name)[:MOST_NAMES]


def _defaults(template: Template) -> str:
    """Read what also makes the defaults of a new pod."""
    files = [path for path in template.files if path.name.startswith(f"{template.name}-defaults")]
    return "".join(path.read_text() for path in files)


def verifier(key: str, user: str, password: str) -> str:
    """Make what PostgreSQL keeps of a password. The same gives the same, so that it can be compared."""
    salt = hmac.digest(key.encode(), f"{user}\0{password}".encode(), "sha256")[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{texts[0]}${texts[1]}:{texts[2]}"


def _facts(address: str, user: str, password: str, database: str = _DATABASE) -> dict[str, Any]:
    """Give libpq's parameters (PostgreSQL documentation, 34.1.2); none is left to our environment that matters."""
    try:
        upstream = parse_address(address)
    except ValueError:
        raise KeepFailed("the database has no address") from None
    if isinstance(upstream, UnixAddress):
        directory, _, port = upstream.path.rpartition("/.s.PGSQL.")
    else:
        directory, port = upstream.host, str(upstream.port)
    return {
        "host": directory, "port": port, "dbname": database, "user": user, "password": password,
        "passfile": os.devnull, "sslmode": "disable", "gssencmode": "disable",
        "require_auth": "scram-sha-256", "target_session_attrs": "any", "client_encoding": "UTF8",
        "connect_timeout": CONNECT_LIMIT, "application_name": "podgate", "options": _TIMEOUTS,
    }  # fmt: skip


def _reason(pod: Pod, error: psycopg.Error) -> str:
    """Say what is wrong, and never what was sent."""
    refused = isinstance(error, psycopg.OperationalError) and "authentication failed" in str(error)
    if refused or isinstance(error, psycopg.errors.UndefinedFunction):
        return f"the database was made by an earlier version; once do: podgate pod restart {pod.name}"
    first = str(error).strip().partition("\n")[0]
    return f"the database said: {first[:200]}"
