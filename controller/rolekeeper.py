"""Sets the passwords of a Postgres pod's roles, as the role `keeper` that may do nothing else.

The pod may be anybody's program that only looks like a database: it is told no password but in a SCRAM exchange, by
which it learns none, and it gets a bounded time. What it is told of the others' passwords are verifiers (RFC 5803).
"""

import base64
import hashlib
import hmac
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
import trio

from controller.model import Pod
from controller.templates import KEEPER, Template
from router.model import UnixAddress, parse_address

LIMIT = 10.0  # seconds for all of it
ITERATIONS = 4096  # of SCRAM (RFC 7677): the passwords are random
MOST_AT_ONCE = 4  # threads
_DATABASE = "postgres"  # where the keeper's function is


class KeepFailed(Exception):
    """The passwords could not be set, for this reason."""


class RoleKeeper:
    """Does it by libpq, in threads."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._room = trio.CapacityLimiter(MOST_AT_ONCE)

    async def keep(self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str]) -> bool:
        """Set passwords by level; tell whether anything was otherwise. Raises KeepFailed."""
        secret = pod.secrets[KEEPER]
        users = {each.level: each.user for each in template.credentials}
        wanted = {users[level]: verifier(secret, users[level], password) for level, password in passwords.items()}
        work = _Work(_facts(address, template.keeper, secret), wanted)
        try:
            with trio.fail_after(self._limit):
                return await trio.to_thread.run_sync(work.do, limiter=self._room, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise KeepFailed("the database does not answer in time") from None
        except psycopg.Error as error:
            raise KeepFailed(_reason(pod, error)) from error
        finally:
            work.end()


class _Work:
    """What the thread does; `end` frees the thread from a database that does not answer."""

    def __init__(self, facts: Mapping[str, Any], verifiers: Mapping[str, str]) -> None:
        self._facts = facts
        self._verifiers = verifiers
        self._connection: psycopg.Connection[tuple[bool]] | None = None

    def do(self) -> bool:
        changed = False
        with psycopg.connect(**self._facts, autocommit=True) as self._connection:
            for user, text in self._verifiers.items():
                found = self._connection.execute("SELECT podgate.keep(%s, %s)", (user, text)).fetchone()
                changed = changed or bool(found and found[0])
        return changed

    def end(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as stream:
            stream.shutdown(socket.SHUT_RDWR)


def verifier(key: str, user: str, password: str) -> str:
    """Make what PostgreSQL keeps of a password. The same gives the same, so that it can be compared."""
    salt = hmac.digest(key.encode(), f"{user}\0{password}".encode(), "sha256")[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{texts[0]}${texts[1]}:{texts[2]}"


def _facts(address: str, user: str, password: str) -> dict[str, Any]:
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
        "host": directory, "port": port, "dbname": _DATABASE, "user": user, "password": password,
        "passfile": os.devnull, "sslmode": "disable", "gssencmode": "disable",
        "require_auth": "scram-sha-256", "target_session_attrs": "any", "client_encoding": "UTF8",
        "connect_timeout": int(LIMIT / 2), "application_name": "podgate", "options": "-c statement_timeout=5s",
    }  # fmt: skip


def _reason(pod: Pod, error: psycopg.Error) -> str:
    """Say what is wrong, and never what was sent."""
    if isinstance(error, psycopg.OperationalError) and "authentication failed" in str(error):
        return f"the database was made by an earlier version; once do: podgate pod restart {pod.name}"
    first = str(error).strip().partition("\n")[0]
    return f"the database said: {first[:200]}"
