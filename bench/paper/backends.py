"""The ways to a database: straight, through a proxy of ours, or wherever a user's URI leads."""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.certificate import Certificate
from bench.missing import Missing
from bench.peers.all import DIRECT, LABELS, PEERS
from bench.peers.peer import HOST, Job, Mode
from bench.process import Died, Program
from bench.record import Record
from bench.rounds import free_port, serving

Tell = Callable[[str, bool], None]  # what goes on, and whether it is a round of the plan
PROXIES = ("podgate", "haproxy", "traefik")
LOOPBACK = "127.0.0.1"
SCHEMES = {
    **dict.fromkeys(("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"), Mode.BOLT),
    **dict.fromkeys(("postgres", "postgresql"), Mode.POSTGRES),
}
PORTS = {Mode.BOLT: 7687, Mode.POSTGRES: 5432}


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks, of which database."""

    user: str
    password: str
    database: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a database."""

    name: str
    address: str  # where to connect
    port: int
    login: Login
    host: str = ""  # the TLS server name; empty: no TLS
    direct_tls: bool = False
    ca: Path | None = None  # None: whom the system trusts
    verified: bool = True
    uri: str = ""  # as a user gave it, for drivers; without database and login
    program: Program | None = None  # the proxy

    def context(self) -> ssl.SSLContext | None:
        """Make a TLS context; None without TLS."""
        if not self.host:
            return None
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if not self.verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Asked:
    """A backend of a user's own."""

    name: str
    uri: str
    user: str
    password: str

    @property
    def mode(self) -> Mode:
        """What is spoken there."""
        return SCHEMES[urlsplit(self.uri).scheme]

    def way(self) -> Way:
        """Give the way there."""
        parts = urlsplit(self.uri)
        host, port = parts.hostname or "", parts.port or PORTS[self.mode]
        default = "postgres" if self.mode is Mode.POSTGRES else ""
        login = Login(self.user, self.password, unquote(parts.path.lstrip("/")) or default)
        secure = self.mode is Mode.POSTGRES or "+" in parts.scheme
        return Way(
            self.name, host, port, login, host if secure else "", uri=f"{parts.scheme}://{host}:{port}",
            verified=not parts.scheme.endswith("+ssc"),
        )  # fmt: skip


def all_ways(peers: Sequence[str], own: Sequence[Asked]) -> tuple[str, ...]:
    """Give who takes part, in the order of tables and pictures."""
    return (DIRECT, *(name for name in LABELS if name in peers), *(one.name for one in own))


def check(name: str, uri: str) -> None:
    """Raise ValueError for a name or URI that cannot be used."""
    parts = urlsplit(uri)
    if name in LABELS or not name.isprintable() or not 1 <= len(name) <= 30 or "|" in name:
        raise ValueError(f"{name!r} cannot name a backend: take up to 30 characters that no peer here is named")
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError(f"{name}: a URI begins with one of {', '.join(SCHEMES)}, then ://HOST[:PORT][/DATABASE]")
    if parts.username or parts.password:
        raise ValueError(f"{name}: no login belongs in a URI, where everybody can read it; give --auth {name}=USER")


@dataclass(frozen=True, slots=True)
class Site:
    """What all proxies of a part have in common."""

    certificate: Certificate
    ca: Path
    mode: Mode
    upstream: int  # its port
    login: Login


@contextmanager
def ways(site: Site, asked: Sequence[str], record: Record, directory: Path) -> Iterator[Mapping[str, Way]]:
    """Start one fresh process of each proxy, all on the proxy's core; give the ways there are. Who fails is noted."""
    found: dict[str, Way] = {}
    with ExitStack() as stack:
        for name in asked:
            if name == DIRECT:
                found[name] = Way(name, LOOPBACK, site.upstream, site.login)
                continue
            own = directory / f"{site.mode}-{name}"
            own.mkdir()
            job = Job(own, free_port(), site.upstream, site.mode)
            try:
                program = stack.enter_context(serving(PEERS[name], job, site.certificate))
            except (Died, Missing, OSError) as error:
                record.note(f"{site.mode}: {LABELS[name]} did not start: {error}")
                continue
            direct_tls = PEERS[name].direct_tls
            found[name] = Way(name, LOOPBACK, job.port, site.login, HOST, direct_tls, site.ca, program=program)
        yield found
