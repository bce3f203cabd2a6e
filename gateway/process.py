"""A worker process as its supervisor sees it."""

import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from certs.leaf import Leaf
from gateway.control import Channel, encode
from gateway.options import Options
from router.snapshot import Version

log = logging.getLogger("podgate.supervisor")

MOST_PENDING = 256  # documents waiting for a worker; past that it gets one snapshot instead of further deltas
ENVIRONMENT = {"OPENSSL_CONF": str(Path(__file__).with_name("openssl.cnf"))}
KILL_AFTER = 5.0  # seconds past its grace period until a draining worker is killed
Ears = Mapping[str, Callable[["WorkerProcess", dict[str, Any]], object]]  # by kind of document


class WorkerProcess:
    """One worker: its process, the channel to it, and the version of the routes it runs."""

    def __init__(self, process: trio.Process, channel: Channel, snapshot: Callable[[], bytes]) -> None:
        """Use `start`. `snapshot` gives the whole table, for a worker that cannot keep up with its changes."""
        self._process = process
        self._channel = channel
        self._snapshot = snapshot
        self._pending: deque[bytes] = deque()
        self._needs_snapshot = False
        self._posted = trio.Event()
        self._numbers = itertools.count(1)
        self._asked: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}  # who waits for which answer
        self._is_deaf = False  # it says nothing any more
        self.version: Version | None = None  # None until it accepts connections
        self.links = self.openings = 0  # as it has told last
        self.connections: Counter[str] = Counter()  # the same: what became of them, since it began

    @classmethod
    async def start(
        cls, listeners: Sequence[socket.socket], options: Options, snapshot: Callable[[], bytes]
    ) -> "WorkerProcess":
        """Start a worker on sockets that stay ours."""
        ours, theirs = socket.socketpair()
        listening = [listener.fileno() for listener in listeners]
        command = [sys.executable, "-P", "-m", "gateway.worker", "--control", str(theirs.fileno())]
        for descriptor in listening:
            command += ["--listen", str(descriptor)]
        inherited = [theirs.fileno(), *listening]
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, pass_fds=inherited, env={**os.environ, **ENVIRONMENT}
        )
        theirs.close()
        worker = cls(process, Channel(ours), snapshot)
        worker.post(encode({"kind": "start", "options": options.to_document()}))
        return worker

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def post(self, document: bytes) -> None:
        """Send an encoded document as soon as the channel takes it."""
        self._pending.append(document)
        self._posted.set()

    def post_routes(self, document: bytes) -> None:
        """The same for routes; a worker that lags far behind gets the whole table once instead."""
        if len(self._pending) >= MOST_PENDING:
            self._needs_snapshot = True
        if not self._needs_snapshot:
            self.post(document)

    def post_leaf(self, leaf: Leaf, *, default: bool) -> None:
        """The same for a certificate."""
        document = {"chain": leaf.chain_pem.decode(), "key": leaf.key_pem.decode(), "default": default}
        self.post(encode({"kind": "leaf", **document}))

    async def ask(self, question: dict[str, Any], patience: float) -> dict[str, Any] | None:
        """Ask the worker and give its answer; None: it has ended, has too much to read already, or did not answer in
        `patience` seconds.
        """
        if self._is_deaf or len(self._pending) >= MOST_PENDING:
            return None
        number = next(self._numbers)
        self._asked[number], answer = trio.open_memory_channel[dict[str, Any]](1)
        self.post(encode({"kind": "ask", "id": number, **question}))
        try:
            with trio.move_on_after(patience):
                return await answer.receive()
        except trio.EndOfChannel:
            pass  # it has ended
        finally:
            self._asked.pop(number, None)
        return None

    def answer(self, asked: dict[str, Any], **answer: object) -> None:
        """Answer what the worker has asked."""
        self.post(encode({"kind": "answer", "id": asked["id"], **answer}))

    async def send(self) -> None:
        """Send what is posted, until the worker ends."""
        while True:
            while self._pending:
                try:
                    await self._channel.send_encoded(self._pending.popleft())
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # it has ended, and `wait` may have seen to it already
            if self._needs_snapshot:
                self._needs_snapshot = False
                self.post(self._snapshot())
                continue
            await self._posted.wait()
            self._posted = trio.Event()

    async def listen(self, ears: Ears) -> None:
        """Take what the worker says, until it ends: each kind of document goes to its ear, answers to who asked."""
        try:
            while (document := await self._channel.receive()) is not None:
                kind = document["kind"]
                if kind == "answer":
                    self._take_answer(document)
                    continue
                if kind == "running":
                    self.version = Version(document["epoch"], document["version"])
                ears[kind](self, document)
        finally:
            self._is_deaf = True
            for waiting in self._asked.values():
                waiting.close()

    def _take_answer(self, document: dict[str, Any]) -> None:
        waiting = self._asked.pop(document["id"], None)
        if waiting is not None:  # otherwise they have lost patience
            waiting.send_nowait(document)

    async def wait(self, draining: trio.Event, grace: float) -> str:
        """Wait for its end, and see to it once it drains; tell how it ended. A cancelled wait ends the worker."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._kill_late, draining, grace)
                await self._process.wait()
                nursery.cancel_scope.cancel()
        finally:
            if self._process.returncode is None:
                self._process.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()
                await self._channel.aclose()
        status = self._process.returncode
        return f"killed by {signal.Signals(-status).name}" if status and status < 0 else f"exit status {status}"

    async def _kill_late(self, draining: trio.Event, grace: float) -> None:
        await draining.wait()
        await trio.sleep(grace + KILL_AFTER)
        log.error("worker %d does not end; killing it", self.pid)
        os.kill(self.pid, signal.SIGKILL)
