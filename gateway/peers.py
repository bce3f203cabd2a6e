"""Peers: the other replicas of this gateway, as far as a supervisor speaks with them.

What they say to each other is PostgreSQL's CancelRequest, one a connection, inside mutual TLS (`gateway.identity`); the
answer is one byte, as it is to an SSLRequest: `S`, the key was right and its database has been told, or `N`. Then the
connection ends. Who does not show what it is hears nothing and is not told anything, a key that is asked for included.

Everything has a limit, since strangers may reach the port: what is read, for how long, and how many at once.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from certs.files import CertificateProblem
from gateway.accepting import accepted
from gateway.cancelling import LONG, PATIENCE
from gateway.identity import Identity, NoPeerError, TlsStream, greet
from gateway.listening import listen
from gateway.wire.pgmessage import CancelKey, cancel_request
from gateway.wire.postgres import CancelRequest, parse_startup
from gateway.wire.verdict import Malformed, More

log = logging.getLogger("podgate.peers")

Deliver = Callable[[CancelKey], Awaitable[bool]]
Place = tuple[str, int]

GREETING = 2.0  # seconds to connect to a peer, and for both to show what they are
ASKING = 5.0  # seconds for a peer to say what it wants, its greeting included
ANSWERING = 5.0  # seconds for a peer to take its answer
REST = 1.0  # seconds that a peer which could not be reached is left alone
COMPLAINT_PAUSE = 60.0  # seconds between two log lines about the same peer
MOST_CONNECTIONS, MOST_OF_ADDRESS = 128, 64  # served at once; no more than the second is asked of a peer at once
LARGEST = 12 + LONG  # bytes of a CancelRequest with the longest secret there is
RIGHT, WRONG = b"S", b"N"
_FAILURES = (trio.BrokenResourceError, trio.TooSlowError, Malformed, CertificateProblem, NoPeerError)


class Peers:
    """Where the other replicas are, and what they ask for."""

    def __init__(self, place: Place, others: tuple[Place, ...], identity: Identity) -> None:
        """Listen at `place` for the `others`; connections queue from now on. Raises CannotListen."""
        self.others = Others(others, identity)
        self._identity = identity
        self._listener = listen(*place, 1)[0]
        self.address: Place = self._listener.getsockname()[:2]
        self._served: Counter[str] = Counter()  # by address
        self._complained = -COMPLAINT_PAUSE

    async def serve(self, deliver: Deliver) -> None:
        """Have `deliver` do what peers ask for; it tells whether the key was right."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        async with trio.open_nursery() as nursery, listener:
            while True:
                stream = await accepted(listener, "peers")
                nursery.start_soon(self._serve_one, stream, deliver)

    async def _serve_one(self, stream: trio.SocketStream, deliver: Deliver) -> None:
        async with stream:
            try:
                address = str(stream.socket.getpeername()[0])
            except OSError:
                return  # it has left
            if self._served.total() >= MOST_CONNECTIONS or self._served[address] >= MOST_OF_ADDRESS:
                self._complain("too many connections at once, closing one of %s", address)
                return
            self._served[address] += 1
            try:
                await self._answer(stream, address, deliver)
            except _FAILURES as error:
                self._complain("refused %s: %s", address, _reason(error))
            except Exception:  # a fault of ours with one connection must not take the others down
                log.exception("peers: fault with a connection of %s", address)
            finally:
                self._served[address] -= 1
                if not self._served[address]:
                    del self._served[address]

    def _complain(self, text: str, *values: object) -> None:
        """Strangers can knock as often as they like, and one line a minute tells of it."""
        if trio.current_time() - self._complained >= COMPLAINT_PAUSE:
            self._complained = trio.current_time()
            log.warning(f"peers: {text}", *values)

    async def _answer(self, stream: trio.SocketStream, address: str, deliver: Deliver) -> None:
        with trio.fail_after(ASKING):
            tls = await greet(stream, self._identity, as_server=True)
            request = await _receive_request(tls)
        is_right = await deliver(CancelKey(request.process_id, request.secret))
        log.info("peers: %s passed on a cancel%s", address, "" if is_right else ", of no session here")
        with trio.fail_after(ANSWERING):
            await tls.send_all(RIGHT if is_right else WRONG)
            await tls.aclose()


class Others:
    """The peers as they are asked."""

    def __init__(self, places: tuple[Place, ...], identity: Identity) -> None:
        self._others = [_Other(place, identity) for place in places]
        self._under_way = 0

    async def ask(self, key: CancelKey) -> bool:
        """Ask all peers at once to do a cancel; tell whether one of them had a session of that key."""
        if self._under_way >= MOST_OF_ADDRESS:
            log.warning("peers: more than %d cancels are being passed on; dropping one", MOST_OF_ADDRESS)
            return False
        found = False

        async def ask(other: _Other) -> None:
            nonlocal found
            if await other.ask(key):
                found = True
                nursery.cancel_scope.cancel()

        self._under_way += 1
        try:
            with trio.move_on_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    for other in self._others:
                        nursery.start_soon(ask, other)
        finally:
            self._under_way -= 1
        return found


class _Other:
    """One peer."""

    def __init__(self, place: Place, identity: Identity) -> None:
        self._host, self._port = place
        self._identity = identity
        self._rests_until = 0.0
        self._complained = -COMPLAINT_PAUSE

    async def ask(self, key: CancelKey) -> bool:
        """Ask it, unless it failed a moment ago: its absence must not keep others waiting."""
        if time.monotonic() < self._rests_until:
            return False
        try:
            return await self._ask(key)
        except (OSError, *_FAILURES) as error:
            self._complain(_reason(error))
            return False

    async def _ask(self, key: CancelKey) -> bool:
        with trio.fail_after(GREETING):
            stream = await trio.open_tcp_stream(self._host, self._port)
        async with stream:
            with trio.fail_after(GREETING):
                tls = await greet(stream, self._identity, as_server=False)
            await tls.send_all(cancel_request(key))
            answer = bytes(await tls.receive_some(1))
            if not answer:
                raise NoPeerError("it ends without an answer")
            return answer == RIGHT

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        self._rests_until = now + REST
        if now - self._complained >= COMPLAINT_PAUSE:
            self._complained = now
            log.warning("peer %s port %d: %s; cancels for its sessions do not reach it", self._host, self._port, why)


async def _receive_request(tls: TlsStream) -> CancelRequest:
    """Receive what a peer wants. Raises Malformed."""
    data = b""
    while True:
        part = bytes(await tls.receive_some(LARGEST - len(data)))
        data += part
        request = parse_startup(data)
        if isinstance(request, CancelRequest):
            return request
        if not part or not isinstance(request, More) or len(data) >= LARGEST or request.at_least > LARGEST:
            raise Malformed(f"{len(data)} bytes of something else than a cancel request")


def _reason(error: BaseException) -> str:
    """Give OpenSSL's own words where there are some."""
    if isinstance(error, trio.TooSlowError):
        return "it is too slow"
    return str(error.__cause__ or error) or type(error).__name__
