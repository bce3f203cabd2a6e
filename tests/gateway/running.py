"""A whole worker without its process: a `Server`, its `Relay`, and what they share, in threads of the test."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import trio

from certs.leaf import Leaf
from gateway.certificates import Certificates
from gateway.connection import Services
from gateway.link import Limits
from gateway.listening import listen
from gateway.loop import Loop
from gateway.options import Options
from gateway.relay import Relay
from gateway.server import Server
from gateway.tls import Contexts
from router.access import AccessLevel
from router.model import Protocol, Route, RouteState, parse_address
from router.table import RouteTable
from tests.peers import DEADLINE


@dataclass
class Running:
    """A gateway in this process. Its routes may be replaced at any time."""

    port: int
    services: Services
    server: Server
    asked: list[str] = field(default_factory=list)  # hosts it asked its supervisor a certificate for
    token: trio.lowlevel.TrioToken | None = None

    def route(
        self,
        name: str,
        protocol: str,
        *upstreams: str,
        access: AccessLevel = AccessLevel.PUBLIC,
        state: RouteState = RouteState.AVAILABLE,
        message: str = "",
    ) -> str:
        """Add a route; a name of one label is a host of `pods.test`, except `localhost`. Give its host."""
        host = name if "." in name or name == "localhost" else f"{name}.pods.test"
        addresses = tuple(parse_address(text) for text in upstreams)
        route = Route(host, Protocol(protocol), addresses, access, state, message)
        self.services.routes = self.services.routes.changed([route], [])
        return host

    def call(self, step: Callable[[], None]) -> None:
        """Do `step` in the gateway's own loop."""
        assert self.token is not None
        trio.from_thread.run_sync(step, trio_token=self.token)

    def drain(self) -> None:
        self.call(self.server.drain)

    def answer(self, host: str, leaf: Leaf | None) -> None:
        """Answer the question for a certificate, as a supervisor does."""

        def put() -> None:
            if leaf is not None:
                self.services.certificates.put(leaf, default=False)
            self.services.certificates.answer(host)

        self.services.loop.call(put)


@contextlib.contextmanager
def running(leaves: Iterable[Leaf], options: Options | None = None, limits: Limits | None = None) -> Iterator[Running]:
    """Run a gateway that presents `leaves`, the first by default. At the end it must have survived."""
    loop = Loop()
    relay = Relay(loop, limits)
    asked: list[str] = []
    certificates = Certificates(asked.append)
    for number, leaf in enumerate(leaves):
        certificates.put(leaf, default=number == 0)
    options = options or Options(public_port=8443, drain=0.0)
    services = Services(options, loop, relay, certificates, Contexts(), RouteTable())
    listener = listen("127.0.0.1", 0, 1)[0]
    gateway = Running(listener.getsockname()[1], services, Server(services, [listener]), asked)
    up = threading.Event()

    async def serve() -> None:
        gateway.token = trio.lowlevel.current_trio_token()
        up.set()
        await gateway.server.run()

    pool = ThreadPoolExecutor(1)
    looping = loop.start()
    serving = pool.submit(trio.run, serve)
    try:
        assert up.wait(DEADLINE)
        yield gateway
    finally:
        with contextlib.suppress(trio.RunFinishedError):
            gateway.drain()
        try:
            serving.result(DEADLINE)
        finally:
            loop.stop(relay.close)
            looping.join(DEADLINE)
            pool.shutdown()
