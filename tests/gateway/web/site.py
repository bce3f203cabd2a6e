"""A site in values: one host with a pod behind it, people who may use it, and their requests as bytes."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.proof import Proof
from gateway.web import cookies
from gateway.web.engine import Engine
from gateway.web.judging import judge
from gateway.web.visit import Admitted, Answer, Policy, Visit
from gateway.wire.httphead import RequestHead, parse_head
from gateway.wire.verdict import More
from router.access import AccessLevel
from router.credentials import Credential, Credentials, Key, Token, User
from router.model import Protocol, Route, RouteState, TcpAddress, WebRules
from router.sealing import Session, seal
from router.table import RouteTable
from tests.clock import Clock

HOST, CONSOLE = "web.pods.test", "console.test"
NOW = 1_800_000_000.0
KEY = Key("s1", bytes(range(32)))
UPSTREAM = TcpAddress("127.0.0.1", 8000)
ALICE, BOB, READER = "pgt_alice", "pgt_bob", "pgt_reader"  # tokens


def token(text: str, user: str, **more: object) -> Token:
    """Make the record of a token whose id is its text without the prefix."""
    record = Token(text.removeprefix("pgt_"), hashlib.sha256(text.encode()).hexdigest(), user)
    return replace(record, **more)  # type: ignore[arg-type]


PEOPLE: tuple[Credential, ...] = (
    KEY,
    User("alice", frozenset(("lab",)), since=NOW - 1000),
    User("bob"),
    User("rita"),
    token(ALICE, "alice"),
    token(BOB, "bob"),
    token(READER, "rita"),
)
GRANTS = {
    "user:alice": AccessLevel.OWNER,
    "user:rita": AccessLevel.READ,
    "link:l1": AccessLevel.WRITE,
}


def request(*lines: str, line: str = "GET / HTTP/1.1", host: str | None = HOST) -> bytes:
    """Make a head of these field lines; every character is one byte."""
    every = [line, *([] if host is None else [f"Host: {host}"]), *lines, ""]
    return "".join(f"{one}\r\n" for one in every).encode("latin-1")


def head_of(data: bytes) -> RequestHead:
    head = parse_head(data)
    assert not isinstance(head, More)
    return head


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def session(user: str = "alice", *, host: str = HOST, issued: float = NOW - 10, **more: object) -> Session:
    return replace(Session(host, "signin-1", issued, issued + 3600, user), **more)  # type: ignore[arg-type]


def cookie(value: Session | None = None) -> str:
    """Make the Cookie line of somebody who has a session."""
    return f"Cookie: {cookies.SESSION}={seal(value or session(), KEY.id, KEY.secret)}"


def route(
    access: AccessLevel = AccessLevel.WRITE,
    *,
    host: str = HOST,
    state: RouteState = RouteState.AVAILABLE,
    grants: Mapping[str, AccessLevel] = GRANTS,
    web: WebRules | None = None,
    **more: object,
) -> Route:
    made = Route(host, Protocol.HTTP, (UPSTREAM,), access, state, "", "pod-1", grants, web=web or WebRules())
    return replace(made, **more)  # type: ignore[arg-type]


def visit(
    *, address: str = "192.0.2.1", certificate: Proof | None = None, port: int = 443, console: str = CONSOLE
) -> Visit:
    return Visit(HOST, address, f"{address}:5", certificate, port, console)


def policy(*routes: Route, people: Iterable[Credential] = PEOPLE) -> Policy:
    return Policy(RouteTable(routes), Credentials(people))


def engine(*routes: Route, people: Iterable[Credential] = PEOPLE, clock: Clock | None = None) -> Engine:
    clock = clock or Clock(NOW)
    made = Engine(clock, clock)
    made.policy = policy(*routes, people=people)
    return made


def decided(
    data: bytes, *routes: Route, by: Visit | None = None, people: Iterable[Credential] = PEOPLE
) -> Admitted | Answer:
    """Judge one request, at the route that asks for `write` if none is given."""
    return judge(head_of(data), by or visit(), policy(*(routes or (route(),)), people=people), NOW)


def admitted(data: bytes, *routes: Route, by: Visit | None = None) -> Admitted:
    decision = decided(data, *routes, by=by)
    assert isinstance(decision, Admitted), decision
    return decision


def answered(data: bytes, *routes: Route, by: Visit | None = None, people: Iterable[Credential] = PEOPLE) -> Answer:
    decision = decided(data, *routes, by=by, people=people)
    assert isinstance(decision, Answer), decision
    return decision


def status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def fields(data: bytes) -> list[tuple[str, str]]:
    """Give the field lines of a head, names in lower case."""
    lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def values(data: bytes, name: str) -> list[str]:
    return [value for key, value in fields(data) if key == name]
