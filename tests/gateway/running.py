"""A whole worker without its process: a `Server`, its `Relay`, and what they share, in threads of the test."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from certs.leaf import Leaf
from gateway.certificates import Certificates
from gateway.link import Limits
from gateway.listening import listen
from gateway.loop import Loop
from gateway.options import Options
from gateway.relay import Relay
from gateway.revocation import Revocation
from gateway.server import Server
from gateway.services import Services
from gateway.tls import Contexts
from gateway.web.visit import Policy
from router.access import AccessLevel
from router.credentials import Credential
from router.model import Protocol, Route, RouteState
from router.routedocument import parse_address
from tests.peers import DEADLINE

Result = TypeVar("Result")


@dataclass
class Running:
    """A gateway in this process. Its routes may be replaced at any time."""

    port: int
    services: Services
    server: Server
    revocation: Revocation
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
        **more: Any,
    ) -> str:
        """Add a route; a name of one label is a host of `pods.test`, except `localhost`. Give its host.

        `more` are fields of the route.
        """
        host = name if "." in name or name == "localhost" else f"{name}.pods.test"
        addresses = tuple(parse_address(text) for text in upstreams)
        route = Route(host, Protocol(protocol), addresses, access, state, message, **more)
        policy = self.services.engine.policy
        self._set(policy._replace(routes=policy.routes.changed([route], [])))
        return host

    def forget(self, host: str) -> None:
        """Take a route away."""
        policy = self.services.engine.policy
        self._set(policy._replace(routes=policy.routes.changed([], [host])))

    def know(self, *records: Credential, forget: Iterable[str] = ()) -> None:
        """Put credentials, and take away those of the keys in `forget`."""
        policy = self.services.engine.policy
        self._set(policy._replace(credentials=policy.credentials.changed(records, forget)))

    def _set(self, policy: Policy) -> None:
        """Put a policy into force as a worker does."""
        self.services.engine.policy = policy
        self.services.loop.call(self.revocation.policy_changed)

    def in_loop(self, step: Callable[[], Result]) -> Result:
        """Do `step` in the loop's thread and give what it gives."""
        done: Future[Result] = Future()

        def do() -> None:
            try:
                done.set_result(step())
            except Exception as error:  # noqa: BLE001  # raised where it is waited for
                done.set_exception(error)

        self.services.loop.call(do)
        return done.result(DEADLINE)

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
def running(
    leaves: Iterable[Leaf],
    options: Options | None = None,
    limits: Limits | None = None,
    throw: Callable[[], float] = random.random,
) -> Iterator[Running]:
    """Run a gateway that presents `leaves`, the first by default. At the end it must have survived."""
    loop = Loop()
    relay = Relay(loop, limits)
    asked: list[str] = []
    certificates = Certificates(asked.append)
    for number, leaf in enumerate(leaves):
        certificates.put(leaf, default=number == 0)
    options = options or Options(public_port=8443, drain=0.0)
    services = Services(options, loop, relay, certificates, Contexts(options.client_ca))
    revocation = Revocation(loop, relay, services.engine)
    listener = listen("127.0.0.1", 0, 1)[0]
    gateway = Running(listener.getsockname()[1], services, Server(services, [listener], throw), revocation, asked)
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
