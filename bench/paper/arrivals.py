"""Connections that come at once or at a rate, as in the SSH study: how many are served within one second, and two?

Each is a new TLS connection: in Postgres by StartTLS (HAProxy: direct TLS), logged in without a password and asked
SELECT 1; in HTTP one GET. "Podgate, early drop" turns some away by chance while many are in their opening.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from bench import connect
from bench.certificate import Certificate
from bench.experiment import Round
from bench.http import web_server
from bench.load.postgres_server import cluster
from bench.paper.backends import Login, Site, Way, ways
from bench.paper.plan import ARRIVALS, Work
from bench.peers.all import DIRECT, PEERS
from bench.peers.peer import HOST, Mode
from bench.peers.pgbouncer import ROLE
from bench.peers.podgate import session_cookie
from bench.record import Metric, Question, Record

WITHIN = (Metric("finished within 1 s", "%", "more"), Metric("finished within 2 s", "%", "more"))
CONNECTIONS = 1200  # the server takes: more than ever come, and those that are just ending
COOKIE_LASTS = 600.0  # seconds

Ask = Callable[[Work, str, Record], None]


@contextmanager
def opened(
    tools: Path, certificate: Certificate, ca: Path, asked: Sequence[str], seconds: float, record: Record
) -> Iterator[tuple[Ask, list[str]]]:
    """Run both servers, and every proxy before each; give what asks, and who is there. Raises Missing."""
    with ExitStack() as stack:
        sites: dict[str, Mapping[str, Way]] = {}
        for speech, mode in (("Postgres", Mode.POSTGRES), ("HTTP", Mode.HTTP)):
            directory = tools / f"arrivals-{mode}"
            directory.mkdir()
            behind = tools / f"behind-{mode}"
            behind.mkdir()
            if mode is Mode.POSTGRES:
                port = stack.enter_context(cluster(behind, CONNECTIONS, auth="trust"))
            else:
                port, _nothing = stack.enter_context(web_server(tools, behind))
            site = Site(certificate, ca, mode, port, Login(ROLE, "", "postgres"))
            sites[speech] = stack.enter_context(ways(site, asked, record, directory))

        def ask(work: Work, name: str, into: Record) -> None:
            way = sites[work.what][name]
            turn = Round(ARRIVALS, name, way.port, way.program, tools, seconds, 0, into)
            shape: Literal["burst", "rate"] = "burst" if work.shape == "burst" else "rate"
            result = connect.many(turn, shape, work.number, work.what, *_speech(work.what, name))
            case, axis = connect.CASES[work.shape]
            for metric, count in zip(WITHIN, result["within"], strict=True):
                question = Question(ARRIVALS, f"{work.what}, {case}", metric, work.number, axis)
                into.add(question, name, 100 * count / (result["count"] + result["failed"]))

        yield ask, [name for name in asked if all(name in found for found in sites.values())]


def _speech(what: str, name: str) -> tuple[str, str]:
    """Give what the load program is told to say."""
    if what == "HTTP":
        cookie = session_cookie(COOKIE_LASTS)
        return "http", f"GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\nCookie: {cookie}\r\n\r\n"
    direct_tls = name != DIRECT and PEERS[name].direct_tls
    return "postgres-direct" if direct_tls else "postgres", ROLE
