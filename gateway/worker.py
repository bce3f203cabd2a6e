"""A worker process: `python -m gateway.worker --control FD --listen FD …`, started by `gateway.supervisor` only.

It runs two threads: the loop serves connections, trio talks with the supervisor. It is told everything through the
control channel: options, routes, certificates, and when to drain; when the channel ends it drains by itself, since
its supervisor is gone.
"""

import argparse
import collections
import contextlib
import gc
import logging
import signal
import socket
import sys
import time

import trio

from certs.leaf import Leaf
from gateway.asking import Document, Questions
from gateway.audit import Trail
from gateway.cancelling import Sessions, from_document
from gateway.certificates import Certificates
from gateway.control import Channel
from gateway.link import Limits
from gateway.logs import log_to
from gateway.loop import Loop
from gateway.options import Options
from gateway.quota import Quota
from gateway.relay import Relay
from gateway.revocation import Revocation
from gateway.server import Server
from gateway.services import Services
from gateway.tls import Contexts
from gateway.web.engine import Engine
from gateway.web.visit import Policy
from router.snapshot import NO_VERSION, Routes, advance

log = logging.getLogger("podgate.worker")

LOAD_LOOK = 1.0  # seconds between two looks at how many links there are
SWITCH_INTERVAL = 0.0002  # seconds until a busy thread lets the other run; Python's 5 ms are felt in every p99


class Worker:
    """What the control channel acts upon."""

    def __init__(self, channel: Channel, listeners: list[socket.socket], options: Options) -> None:
        """Prepare; nothing is accepted before the first routes have come."""
        self._channel = channel
        self._outbox: collections.deque[Document] = collections.deque()  # to be sent in this order
        self._news = trio.Event()
        self._routes = Routes()
        self._have_routes = trio.Event()
        limits = Limits(options.idle, options.linger, options.stall, options.keep_alive, options.request_head)
        self._loop = Loop()
        self._relay = Relay(self._loop, limits)
        self._token = trio.lowlevel.current_trio_token()
        self._trail = Trail(time.time, self._tell)
        engine = Engine(trail=self._trail)
        contexts = Contexts(options.client_ca)
        self._questions = Questions(self._post)
        self._sessions = Sessions(options.replica, options.worker, self._questions)
        self._services = Services(
            options, self._loop, self._relay, Certificates(self._want), contexts, engine,
            sessions=self._sessions, quota=Quota(self._questions),
        )  # fmt: skip
        self._revocation = Revocation(self._loop, self._relay, engine)
        self._server = Server(self._services, listeners)

    async def run(self) -> None:
        """Serve until told to drain, and then until everything has ended."""
        looping = self._loop.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen_to_supervisor)
                nursery.start_soon(self._send)
                nursery.start_soon(self._tell_load)
                await self._have_routes.wait()
                await self._server.run()
                nursery.cancel_scope.cancel()
        finally:
            self._loop.stop(self._relay.close)
            await trio.to_thread.run_sync(looping.join)

    async def _listen_to_supervisor(self) -> None:
        while (document := await self._channel.receive()) is not None:
            match document["kind"]:
                case "routes":
                    await self._take_routes(document["document"])
                case "leaf":
                    self._loop.call(self._take_leaf, document)
                case "answered":
                    self._loop.call(self._services.certificates.answer, document["host"])
                case "ask":
                    self._loop.call(self._take_question, document)
                case "answer":
                    self._loop.call(self._questions.answer, document)
                case "leave":
                    self._loop.call(self._server.leave)
                case "drain":  # and go on listening: for those who are in there are still cancels and revocations
                    self._drain()
        self._loop.call(self._questions.end)
        self._drain()

    def _drain(self) -> None:
        self._server.drain()
        self._have_routes.set()

    async def _take_routes(self, document: dict[str, object]) -> None:
        if document["kind"] == "snapshot":  # perhaps of 100,000 routes: openings go on meanwhile
            self._routes = await trio.to_thread.run_sync(advance, self._routes, document)
            _settle()
        else:
            self._routes = advance(self._routes, document)
        self._services.engine.policy = Policy(self._routes.table, self._routes.credentials)
        self._loop.call(self._revocation.policy_changed)
        self._have_routes.set()
        self._news.set()

    def _take_leaf(self, document: dict[str, str]) -> None:
        leaf = Leaf.from_pem(document["chain"].encode(), document["key"].encode())
        for old in self._services.certificates.put(leaf, default=bool(document["default"])):
            self._services.contexts.forget(old)

    def _take_question(self, question: Document) -> None:
        """Begin to answer the supervisor, who asks for nothing but cancels. Called in the loop's thread."""
        self._loop.spawn(self._cancel(question))

    async def _cancel(self, question: Document) -> None:
        key, host = from_document(question)
        is_right = await self._sessions.deliver(key, host)
        self._post({"kind": "answer", "id": question["id"], "right": is_right})

    def _want(self, host: str) -> None:
        """Ask the supervisor for a leaf."""
        self._post({"kind": "want", "host": host})

    def _post(self, document: Document) -> None:
        """Send a document to the supervisor; called in the loop's thread, sent by trio's."""
        self._outbox.append(document)
        self._tell()

    def _tell(self) -> None:
        """Have `_send` look at what is new; called in the loop's thread."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._set_news, idempotent=True)

    def _set_news(self) -> None:
        self._news.set()

    async def _tell_load(self) -> None:
        """Tell how many links and openings there are, whenever these are others than a moment before."""
        told: Document = {"kind": "load", "links": 0, "openings": 0, "connections": {}}
        while True:
            counts = self._server.connections
            load = {**told, "links": self._relay.count(), "openings": self._server.openings, "connections": counts}
            if load != told:
                told = load
                self._outbox.append(load)
                self._news.set()
            await trio.sleep(LOAD_LOOK)

    async def _send(self) -> None:
        """Tell what is new: only the last version counts, however slowly the supervisor listens."""
        told = NO_VERSION
        while True:
            await self._news.wait()
            self._news = trio.Event()
            try:
                while self._outbox:
                    await self._channel.send(self._outbox.popleft())
                if entries := self._trail.take():
                    await self._channel.send({"kind": "audit", "entries": entries})
                if self._routes.version != told:
                    told = self._routes.version
                    await self._channel.send({"kind": "running", "epoch": told.epoch, "version": told.number})
            except trio.BrokenResourceError:
                return  # the supervisor is gone; the receiving side ends this worker


def _settle() -> None:
    """Have the collector of cycles leave alone what is there to stay: a walk through it all stops every link for 15 ms.

    Modules and 100,000 routes go when nobody refers to them any more, as everything does that is in no cycle.
    """
    gc.freeze()


async def main(control: int, listen: list[int]) -> None:
    """Run a worker on inherited descriptors."""
    channel = Channel(socket.socket(fileno=control))
    first = await channel.receive()
    if first is None:
        return
    listeners = [socket.socket(fileno=fd) for fd in listen]
    for listener in listeners:
        listener.setblocking(False)
    worker = Worker(channel, listeners, Options(**first["options"]))
    _settle()
    await worker.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway.worker")
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--listen", type=int, action="append", required=True)
    arguments = parser.parse_args()
    log_to(sys.stderr.fileno())
    sys.setswitchinterval(SWITCH_INTERVAL)
    # A terminal and a service manager signal all of a process group; a worker ends by its supervisor's word alone.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    trio.run(main, arguments.control, arguments.listen)
