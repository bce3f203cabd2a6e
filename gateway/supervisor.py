"""The supervisor of a gateway replica: it holds the sockets, keeps the workers alive, and feeds them.

Routes reach them by `gateway.routing`. Certificates are handed out here; the authority's key stays here, out of the
processes that talk to strangers. It accepts nothing and relays nothing itself.
"""

import logging
import resource
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from gateway.balancing import written
from gateway.control import encode
from gateway.delivery import Delivery
from gateway.health import Health
from gateway.leaves import Leaves
from gateway.listening import listen, most_links
from gateway.metrics import Measures, Page
from gateway.options import Options
from gateway.passing import Passing
from gateway.peers import Peers
from gateway.process import Ears, WorkerProcess
from gateway.quota import Places
from gateway.routing import Routing
from gateway.sources import Source
from gateway.standing import Reporter, Standing

log = logging.getLogger("podgate.supervisor")

RENEWAL_LOOK = 0.5  # seconds between two looks at certificates
CRASH_SPAN = 5.0  # seconds: a worker that ends sooner is replaced after a growing pause
CRASH_FIRST, CRASH_LAST = 0.1, 5.0  # seconds of that pause
LEAVE, DRAIN = encode({"kind": "leave"}), encode({"kind": "drain"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica is to be."""

    listen: tuple[tuple[str, int], ...]  # each served by every worker
    workers: int
    options: Options
    keep: Path  # where the last good table is kept
    health: tuple[str, int] | None = None  # where to tell whether it is ready; None: nowhere
    notice: float = 0.0  # seconds between saying that it is not, and taking no connections any more


class Supervisor:
    """One gateway replica."""

    def __init__(self, plan: Plan, source: Source, leaves: Leaves, peers: Peers | None = None) -> None:
        """Bind the sockets; connections queue from now on. Raises CannotListen and CertificateProblem."""
        self._plan = plan
        self._source = source
        self._leaves = leaves
        self._leaving = trio.Event()  # it says so, and may still take connections
        self._draining = trio.Event()  # it takes none any more
        self.ready = trio.Event()  # every worker accepts connections
        self._default = leaves.default()  # a broken certificate is told now, not at the first connection
        most_links(resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # workers have the same limit, and cannot complain
        by_address = [listen(host, port, plan.workers) for host, port in plan.listen]
        self.addresses = [sockets[0].getsockname()[:2] for sockets in by_address]
        self._sockets = list(zip(*by_address, strict=True))
        self._workers: list[WorkerProcess | None] = [None] * plan.workers
        self._passing = Passing(plan.options.replica, self._workers, peers)
        self._places = Places()
        self._ended = 0  # workers that did so unasked
        self._connections: Counter[str] = Counter()  # of workers that have ended
        self._health = Health(plan.health, self.why_not_ready, Page(self._measures)) if plan.health else None
        self._reporter = Reporter(source, self._standing)
        self._delivery = Delivery(source)
        self._routing = Routing(source, plan.keep, self._workers, self.ready, self._reporter)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that live."""
        return [worker.pid for worker in self._workers if worker is not None]

    async def run(self) -> None:
        """Serve until `drain`, and then until every worker has ended."""
        async with trio.open_nursery() as nursery:
            parts = (self._routing.run, self._passing.serve, self._reporter.run, self._delivery.run)
            for task in (*parts, self._renew, self._leave):
                nursery.start_soon(task)
            if self._health is not None:
                nursery.start_soon(self._health.serve)
            async with trio.open_nursery() as keeping:
                await self._routing.begun.wait()
                for index in range(self._plan.workers):
                    keeping.start_soon(self._keep_worker, index)
            nursery.cancel_scope.cancel()
        self._routing.save()

    def drain(self) -> None:
        """Say that this replica goes, and stop accepting once those who look have had time to hear it; `run` returns
        when the workers' links have ended or their grace period is over.
        """
        is_again = self._leaving.is_set()
        self._leaving.set()
        self._reporter.tell_now()
        self._post_all(LEAVE)
        if is_again or not self._plan.notice or self.why_not_ready(but_leaving=True):
            self._end_accepting()  # of those who look, none sends anybody here any more

    def why_not_ready(self, *, but_leaving: bool = False) -> str:
        """Say why no connections should be sent here; nothing if they should. `but_leaving`: for another reason."""
        if self._draining.is_set() or (self._leaving.is_set() and not but_leaving):
            return "draining"
        if self._routing.has_nothing:
            return "there are no routes yet: what they come from has told nothing"
        if not self.ready.is_set() or all(worker is None or worker.version is None for worker in self._workers):
            return "no worker accepts connections yet"
        return ""

    @property
    def health_address(self) -> tuple[str, int] | None:
        """Where it tells whether it is ready."""
        return self._health.address if self._health else None

    async def _leave(self) -> None:
        await self._leaving.wait()
        await trio.sleep(self._plan.notice)
        if not self._draining.is_set():
            self._end_accepting()

    def _end_accepting(self) -> None:
        self._draining.set()
        self._routing.begun.set()
        for sockets in self._sockets:
            for held in sockets:
                held.close()
        self._post_all(DRAIN)

    def _post_all(self, document: bytes) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.post(document)

    def reload(self) -> None:
        """Look at the source and the certificates again now."""
        self._source.reload()
        self._present_renewed()

    # ---- certificates

    async def _renew(self) -> None:
        while True:
            await trio.sleep(RENEWAL_LOOK)
            self._present_renewed()

    def _present_renewed(self) -> None:
        renewed = self._leaves.renewed()
        if renewed:
            self._default = self._leaves.default()
        for leaf in renewed:
            for worker in self._workers:
                if worker is not None:
                    worker.post_leaf(leaf, default=leaf == self._default)

    def _give_leaf(self, worker: WorkerProcess, host: str) -> None:
        leaf = self._leaves.get(host)
        if leaf is not None:
            worker.post_leaf(leaf, default=False)
        worker.post(encode({"kind": "answered", "host": host}))

    # ---- workers

    async def _keep_worker(self, index: int) -> None:
        pause = 0.0
        while not self._draining.is_set():
            began = time.monotonic()
            ended = await self._run_worker(index)
            if self._draining.is_set():
                return
            self._ended += 1
            pause = min(max(pause * 2, CRASH_FIRST), CRASH_LAST) if time.monotonic() - began < CRASH_SPAN else 0.0
            log.error("worker %d ended (%s); replaced in %.1f s", index, ended, pause)
            with trio.move_on_after(pause):
                await self._draining.wait()

    async def _run_worker(self, index: int) -> str:
        async with trio.open_nursery() as nursery:
            try:
                options = replace(self._plan.options, worker=index)
                worker = await WorkerProcess.start(self._sockets[index], options, self._routing.snapshot)
            except OSError as error:  # out of processes, memory or descriptors: perhaps not for long
                return f"not started: {error.strerror}"
            self._workers[index] = worker
            worker.post_leaf(self._default, default=True)
            worker.post_routes(self._routing.snapshot())
            for told, document in ((self._leaving, LEAVE), (self._draining, DRAIN)):
                if told.is_set():  # since it was being started
                    worker.post(document)
            nursery.start_soon(worker.send)
            nursery.start_soon(worker.listen, self._ears(nursery))
            try:
                grace = self._plan.options.drain
                ended = await worker.wait(self._draining, grace)
            finally:
                self._workers[index] = None
                self._connections += worker.connections
                self._places.drop(worker)
                self._on_running()
            nursery.cancel_scope.cancel()
        return ended

    def _ears(self, nursery: trio.Nursery) -> Ears:
        """What becomes of the documents of a worker; what takes time is done in `nursery`."""
        return {
            "running": lambda _worker, _document: self._on_running(),
            "want": lambda worker, document: self._give_leaf(worker, document["host"]),
            "audit": lambda _worker, document: self._delivery.take(document["entries"]),
            "ask": lambda worker, document: self._on_question(worker, document, nursery),
            "load": lambda worker, document: self._on_load(worker, document),
            "left": lambda worker, document: self._places.leave(worker, document["ticket"]),
        }

    def _on_question(self, worker: WorkerProcess, question: dict[str, Any], nursery: trio.Nursery) -> None:
        if question["what"] == "enter":
            worker.answer(question, full=self._places.enter(worker, question))
        else:
            nursery.start_soon(self._passing.answer, worker, question)

    def _on_load(self, worker: WorkerProcess, document: dict[str, Any]) -> None:
        worker.links, worker.openings = document["links"], document["openings"]
        worker.connections = Counter(document["connections"])

    def _standing(self) -> Standing:
        accepting = [worker for worker in self._workers if worker is not None and worker.version is not None]
        return Standing(
            len(accepting), sum(worker.links for worker in accepting), sum(worker.openings for worker in accepting),
            self._leaving.is_set(), tuple(written(address) for address in self.addresses),
        )  # fmt: skip

    def _measures(self) -> Measures:
        counts = (worker.connections for worker in self._workers if worker is not None)
        return Measures(
            not self.why_not_ready(), self._standing(), self._routing.in_force(), self._plan.workers, self._ended,
            sum(counts, self._connections), self._default.not_after.timestamp(),
        )  # fmt: skip

    def _on_running(self) -> None:
        if all(worker is not None and worker.version is not None for worker in self._workers):
            self.ready.set()
        self._routing.look_at_workers()
