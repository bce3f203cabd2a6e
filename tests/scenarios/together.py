"""A site of replicas: two controllers over a PostgreSQL, three gateways behind HAProxy, pods that are processes, and a
crowd of clients that ask all the time.
"""

import fcntl
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from tests.controller.runtimes.homes import a_mark, processes_with
from tests.databases import Server, server
from tests.gateway.process import GatewayProcess
from tests.haproxy import haproxy
from tests.ports import free_port
from tests.running import PATIENCE, Podgate
from tests.scenarios.api import create, in_force, share
from tests.scenarios.crowd import Client, Listener, Member, Page, Session, Transaction, Visitor, go_on
from tests.scenarios.databases import Way, into
from tests.scenarios.people import add, make_token
from tests.scenarios.replicas import Balanced, Controllers, eventually, known

GATEWAYS = 3
NOTICE = 6.0  # seconds: thirty times as long as HAProxy needs to hear it
STARTED = "started\n"  # what a page writes down each time that it is launched
PAGE = "echo started >>starts; exec /usr/bin/env python3 -X {} -m http.server --protocol HTTP/1.1 -b 127.0.0.1 $PORT"
VAULT, PAGES = "vault", "pages"


@dataclass(slots=True)
class Site:
    """Everything there is, and who uses it."""

    podgate: Podgate
    database: Server  # of the controllers
    controllers: Controllers
    balanced: Balanced
    balancer: Path  # where HAProxy is asked
    alone: list[int]  # ports of HAProxy's that lead to one gateway each
    mark: str  # of the processes of pages
    gateways: list[GatewayProcess] = field(default_factory=list)
    token: str = ""
    crowd: list[Member] = field(default_factory=list)
    ended: list[Member] = field(default_factory=list)

    # ---- pods

    @property
    def vault(self) -> Way:
        """Into the database pod, for who may do everything there."""
        return into(self.podgate, self.podgate.call("GET", f"pods/{VAULT}"), "anna", self.token)

    def page(self, name: str, path: str = "/") -> Page:
        """Give a way to a page."""
        return Page(self.podgate, f"{name}.pods.localhost", path, self.token if name == PAGES else "")

    def look(self, name: str, path: str) -> tuple[int, str]:
        """Open a page once; give status and body."""
        with closing(self.page(name, path)) as page:
            return page.get()

    def page_command(self, name: str, before: str = "") -> str:
        """Give what a page runs, so that its processes and its launches can be counted."""
        return before + PAGE.format(f"{self.mark}-{name}")

    def events(self, name: str) -> list[str]:
        """Tell what kinds of things happened to a pod."""
        return [event["kind"] for event in self.podgate.call("GET", f"pods/{name}/events")["events"]]

    def until_noted(self, name: str, kind: str) -> None:
        """Wait until something is written down of a pod: it may be routed a moment before."""
        eventually(lambda: kind in self.events(name))

    def launched(self, name: str) -> list[Path]:
        """Give the records of a pod's launches, as soon as there are any."""
        return list((self.podgate.home / "pods").glob(f"{name}-*/pod.json"))

    def running(self) -> dict[str, tuple[list[int], str]]:
        """Tell of each pod its processes, and what it wrote down at each launch (a database: its own record)."""
        found = {}
        for pod in self.podgate.call("GET", "pods")["pods"]:
            name, data = pod["name"], self.podgate.home / "pods" / pod["key"] / "data"
            if name == VAULT:
                (record,) = data.glob("**/postmaster.pid")
                pid, _, began, *_ = record.read_text().splitlines()
                found[name] = [int(pid)], began
            else:
                found[name] = processes_with(f"{self.mark}-{name}"), (data / "starts").read_text()
        return found

    @contextmanager
    def closed_gate(self) -> Iterator[str]:
        """Give what a command waits at as long as the block runs."""
        path = self.podgate.home / "gate"
        with path.open("w") as gate:
            path.chmod(0o644)
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield f"flock --shared {path} true; "

    # ---- gateways

    def ready(self, number: int) -> str:
        """Ask a gateway whether connections should come to it."""
        url = f"http://127.0.0.1:{self.balanced.health[number]}/ready"
        return httpx.get(url, timeout=PATIENCE, trust_env=False).text.strip()

    def accepts(self, number: int) -> bool:
        """Tell whether a gateway takes connections."""
        with socket.socket() as knocking:
            return knocking.connect_ex(("127.0.0.1", self.balanced.ports[number])) == 0

    def known(self) -> dict[str, dict[str, Any]]:
        """What the controllers know of each gateway."""
        return known(self.podgate)

    def start_gateway(self, number: int) -> None:
        """Start a gateway that has ended, as it was."""
        self.gateways[number].close()
        self.gateways[number] = self.balanced.start(self.podgate, number)
        self.gateways[number].wait_for("gateway is up on")

    def end_gateways(self) -> None:
        """End them the hard way."""
        for gateway in self.gateways:
            gateway.close()

    def restore(self) -> None:
        """See that all of it is there."""
        if not self.database.runs:
            self.database.start()
        self.controllers.restore()
        self.controllers.leader()
        for number, gateway in enumerate(self.gateways):
            if gateway.process.poll() is not None:
                self.start_gateway(number)

    # ---- clients

    def join(self, client: Client) -> Member:
        """Let somebody ask all the time from now on."""
        self.crowd.append(Member(client))
        return self.crowd[-1]

    def join_everywhere(self) -> None:
        """See that each gateway has a session that came by the balancer, which gives the next to who has the fewest."""
        while not all(self.sessions(number) for number in range(GATEWAYS)):
            assert len(self.sessions()) < 4 * GATEWAYS
            self.join(Session(self.vault))

    def sessions(self, gateway: int | None = None) -> list[Member]:
        """Give those who have one alone, and have it at this gateway."""
        return [
            member
            for member in self.crowd
            if type(member.client) is Session and gateway in (None, member.client.gateway)
        ]

    def leave(self, member: Member) -> None:
        """Let one of them end by itself; it was answered all that it asked."""
        self.crowd.remove(member)
        self.ended.append(member)
        member.end()

    def end_crowd(self) -> None:
        """Let all of them end, whatever came of it."""
        for member in self.crowd:
            with suppress(Exception):
                member.end()

    def goes_on(self) -> None:
        """See that every client is answered."""
        go_on(self.crowd)


@contextmanager
def a_site(directory: Path) -> Iterator[Site]:
    """Run all of it; afterwards nothing is left."""
    balanced, alone = Balanced(GATEWAYS, NOTICE), [free_port() for _ in range(GATEWAYS)]
    podgate = Podgate(Path(tempfile.mkdtemp(prefix="pg-")))
    with ExitStack() as ended:
        ended.callback(shutil.rmtree, podgate.home)
        database = ended.enter_context(server())
        podgate.port = ended.enter_context(
            haproxy(directory, balanced.servers(), balanced.CHECK, alone=alone, balance="leastconn")
        )
        controllers = Controllers(podgate, database.database())
        ended.callback(controllers.stop_all)
        controllers.start("one")
        site = Site(podgate, database, controllers, balanced, directory, alone, a_mark())
        ended.callback(site.end_gateways)
        for number in range(GATEWAYS):
            site.gateways.append(balanced.start(podgate, number))
        controllers.start("other")
        for gateway in site.gateways:
            gateway.wait_for("gateway is up on")
        ended.callback(podgate.delete_pods)
        ended.callback(site.restore)
        ended.callback(site.end_crowd)
        _fill(site)
        yield site


def _fill(site: Site) -> None:
    podgate = site.podgate
    create(podgate, VAULT, "postgres", "read")
    create(podgate, PAGES, "web", "read", command=site.page_command(PAGES))
    share(podgate, VAULT, add(podgate, "anna").name, "manage")
    share(podgate, PAGES, "anna", "read")
    site.token = make_token(podgate, "together", "anna")
    for name in (VAULT, PAGES):
        in_force(podgate, name)
    first, _, third = (replace(site.vault, port=port) for port in site.alone)
    site.join(Transaction(first))
    site.join(Listener(third))
    for _ in range(GATEWAYS):
        site.join(site.page(PAGES))
    for _ in range(2):
        site.join(Visitor(site.vault, site.page(PAGES)))
    site.join_everywhere()
