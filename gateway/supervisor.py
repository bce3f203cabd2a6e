"""The supervisor of a gateway replica: it holds the sockets, keeps the workers alive, and feeds them.

It follows the source of routes, judges each document once, passes it to every worker, and acknowledges a version when
all of them run it. It hands out certificates; the authority's key stays here, out of the processes that talk to
strangers. It accepts nothing and relays nothing itself.
"""

import logging
import resource
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import trio

from gateway import lastgood
from gateway.balancing import written
from gateway.control import encode
from gateway.enrolment import reason_of
from gateway.health import Health
from gateway.leaves import Leaves
from gateway.listening import listen, most_links
from gateway.options import Options
from gateway.passing import Passing
from gateway.peers import Peers
from gateway.process import Ears, WorkerProcess
from gateway.quota import Places
from gateway.sources import NotUp, Source
from gateway.standing import Reporter, Standing
from router.snapshot import InvalidDocument, Rejected, Routes, Version, advance, snapshot_document

log = logging.getLogger("podgate.supervisor")

RENEWAL_LOOK = 0.5  # seconds between two looks at certificates
FIRST_ROUTES_PATIENCE = 10.0  # seconds to wait for a first table before serving what was last known, or nothing
LAST_GOOD_PATIENCE = 5.0  # the same where there is a table that says who may come in
SAVE_PAUSE = 1.0  # seconds that changes are gathered before the table is written to disk
RETRY_FIRST, RETRY_LAST = 0.05, 0.5  # seconds between tries to reach a lost source
CRASH_SPAN = 5.0  # seconds: a worker that ends sooner is replaced after a growing pause
CRASH_FIRST, CRASH_LAST = 0.1, 5.0  # seconds of that pause
MOST_TRAIL = 10_000  # audit entries kept for a source that is away
TRAIL_BATCH, TRAIL_PAUSE = 500, 5.0  # entries at once, and seconds until the next try
LEAVE, DRAIN = encode({"kind": "leave"}), encode({"kind": "drain"})
NOTHING_TOLD = Version("none", 0)  # of a table that no source has told


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
        self._routes = self._saved = Routes()
        self._rejected: dict[str, str] = {}
        self._told: tuple[Version, int] | None = None  # what was acknowledged last
        self._have_routes = trio.Event()
        self._was_told = False  # the source has been there in our life
        self._running = trio.Event()  # set, and made anew, whenever a worker runs another version
        self._changed = trio.Event()  # the same for the table
        self._leaving = trio.Event()  # it says so, and may still take connections
        self._draining = trio.Event()  # it takes none any more
        self._trail: deque[dict[str, Any]] = deque(maxlen=MOST_TRAIL)  # audit entries for the source
        self._trailed = trio.Event()
        self.ready = trio.Event()  # every worker accepts connections
        leaves.default()  # a broken certificate is told now, not at the first connection
        most_links(resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # workers have the same limit, and cannot complain
        by_address = [listen(host, port, plan.workers) for host, port in plan.listen]
        self.addresses = [sockets[0].getsockname()[:2] for sockets in by_address]
        self._sockets = list(zip(*by_address, strict=True))
        self._workers: list[WorkerProcess | None] = [None] * plan.workers
        self._passing = Passing(plan.options.replica, self._workers, peers)
        self._places = Places()
        self._health = Health(plan.health, self.why_not_ready) if plan.health else None
        self._reporter = Reporter(source, self._standing)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that live."""
        return [worker.pid for worker in self._workers if worker is not None]

    async def run(self) -> None:
        """Serve until `drain`, and then until every worker has ended."""
        async with trio.open_nursery() as nursery:
            tasks = (self._follow, self._acknowledge, self._renew, self._save, self._have_patience, self._report)
            for task in (*tasks, self._passing.serve, self._reporter.run, self._leave):
                nursery.start_soon(task)
            if self._health is not None:
                nursery.start_soon(self._health.serve)
            async with trio.open_nursery() as keeping:
                await self._have_routes.wait()
                for index in range(self._plan.workers):
                    keeping.start_soon(self._keep_worker, index)
            nursery.cancel_scope.cancel()
        self._save_now()

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
        if self._leaving.is_set() and not but_leaving:
            return "draining"
        if self._routes.version.epoch == NOTHING_TOLD.epoch:
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
        self._have_routes.set()
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

    # ---- routes

    async def _follow(self) -> None:
        pause = RETRY_FIRST
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[object](0)
                    nursery.start_soon(self._follow_once, send)
                    async for document in receive:
                        self._take(document)
                        pause = RETRY_FIRST
            except* (OSError, httpx.HTTPError, ValueError) as lost:
                if pause < RETRY_LAST <= pause * 2:  # once, when it has been away for longer than a restart takes
                    self._tell_of_lost(_first(lost))
            await trio.sleep(pause)
            pause = min(pause * 2, RETRY_LAST)

    def _tell_of_lost(self, error: BaseException) -> None:
        if isinstance(error, NotUp) and not self._was_told:  # `podgate serve` starts both at once
            log.info("routes: waiting for the controller to start; going on with version %d", self._number)
            return
        level = logging.WARNING if self._have_routes.is_set() else logging.INFO
        log.log(level, "routes: source away: %s; going on with version %d", reason_of(error), self._number)

    async def _follow_once(self, send: trio.MemorySendChannel[object]) -> None:
        async with send:
            await self._source.follow(send)

    @property
    def _number(self) -> int:
        return self._routes.version.number

    def _take(self, document: object) -> None:
        """Judge a document and pass it on. Raises InvalidDocument; the source is then followed from a new snapshot."""
        self._was_told = True
        is_snapshot = isinstance(document, dict) and document.get("kind") == "snapshot"
        self._routes = advance(self._routes, document)
        quarantined = self._routes.table.quarantined
        self._rejected = {host: why for host, why in self._rejected.items() if host in quarantined}
        for host, reason in self._routes.rejected:
            log.error("route %s refused: %s", host, reason)
            self._rejected[host] = reason
        if is_snapshot:  # of a stream that is new to the source: it has to be told again what runs here
            self._told = None
            self._reporter.tell_again()
        # Of a snapshot only what was found good: a file may hold values that no JSON can carry.
        encoded = self._snapshot() if is_snapshot else encode({"kind": "routes", "document": document})
        for worker in self._workers:
            if worker is not None:
                worker.post_routes(encoded)
        self._have_routes.set()
        self._changed.set()
        self._running.set()

    def _snapshot(self) -> bytes:
        table = self._routes.table
        document = snapshot_document(self._routes.version, table, table.quarantined, self._routes.credentials)
        return encode({"kind": "routes", "document": document})

    async def _acknowledge(self) -> None:
        away = False
        while True:
            self._running = trio.Event()
            version = self._common_version()
            if version is not None and (version, len(self._rejected)) != self._told:
                rejected = [Rejected(host, why) for host, why in self._rejected.items()]
                self._told = (version, len(rejected))
                try:
                    await self._source.acknowledge(version, rejected)
                    away = False
                except (OSError, httpx.HTTPError) as error:
                    self._told = None
                    if not away:
                        log.warning(
                            "routes: version %d could not be acknowledged: %s", version.number, reason_of(error)
                        )
                    away = True
                    with trio.move_on_after(RETRY_LAST):
                        await self._running.wait()
                    continue
            await self._running.wait()

    async def _report(self) -> None:
        """Pass on what the workers tell for the audit log; while the source is away the newest are kept."""
        while True:
            await self._trailed.wait()
            self._trailed = trio.Event()
            while self._trail:
                batch = [self._trail.popleft() for _ in range(min(len(self._trail), TRAIL_BATCH))]
                try:
                    await self._source.report(batch)
                except httpx.HTTPStatusError as error:  # it will not take these another time either
                    log.error("audit: %d entries are lost: %s", len(batch), error)
                except (OSError, httpx.HTTPError) as error:
                    log.warning("audit: %d entries could not be passed on yet: %s", len(batch), error)
                    self._trail.extendleft(reversed(batch))
                    await trio.sleep(TRAIL_PAUSE)

    def _common_version(self) -> Version | None:
        """Give the version that every accepting worker runs or has passed, if there is one."""
        versions = [worker.version for worker in self._workers if worker is not None and worker.version is not None]
        if len(versions) < len(self._workers) and not self.ready.is_set():
            return None
        if not versions or any(version.epoch != self._routes.version.epoch for version in versions):
            return None
        return min(versions)

    async def _have_patience(self) -> None:
        """Start by what was last known if the source does not tell in time; a first start begins with no routes."""
        document = await trio.to_thread.run_sync(lastgood.load, self._plan.keep)
        # A table with credentials may be older than a revocation: whoever knows better is given time to say so.
        has_credentials = isinstance(document, dict) and bool(document.get("credentials"))
        patience = FIRST_ROUTES_PATIENCE if document is None else LAST_GOOD_PATIENCE if has_credentials else 0.0
        with trio.move_on_after(patience):
            await self._have_routes.wait()
        if self._have_routes.is_set():
            return
        try:
            self._take(document if document is not None else snapshot_document(NOTHING_TOLD, ()))
        except InvalidDocument as error:
            log.warning("the last good routes cannot be used: %s", error)
            self._take(snapshot_document(NOTHING_TOLD, ()))

    async def _save(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            await trio.sleep(SAVE_PAUSE)
            await trio.to_thread.run_sync(self._save_now)

    def _save_now(self) -> None:
        """Keep the table on disk, unless it is there or nobody has told one."""
        routes = self._routes
        if routes is not self._saved and routes.version.epoch != NOTHING_TOLD.epoch:
            lastgood.save(self._plan.keep, routes)
            self._saved = routes

    # ---- certificates

    async def _renew(self) -> None:
        while True:
            await trio.sleep(RENEWAL_LOOK)
            self._present_renewed()

    def _present_renewed(self) -> None:
        default = None
        for leaf in self._leaves.renewed():
            default = default or self._leaves.default()
            for worker in self._workers:
                if worker is not None:
                    worker.post_leaf(leaf, default=leaf == default)

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
            pause = min(max(pause * 2, CRASH_FIRST), CRASH_LAST) if time.monotonic() - began < CRASH_SPAN else 0.0
            log.error("worker %d ended (%s); replaced in %.1f s", index, ended, pause)
            with trio.move_on_after(pause):
                await self._draining.wait()

    async def _run_worker(self, index: int) -> str:
        async with trio.open_nursery() as nursery:
            try:
                options = replace(self._plan.options, worker=index)
                worker = await WorkerProcess.start(self._sockets[index], options, self._snapshot)
            except OSError as error:  # out of processes, memory or descriptors: perhaps not for long
                return f"not started: {error.strerror}"
            self._workers[index] = worker
            worker.post_leaf(self._leaves.default(), default=True)
            worker.post_routes(self._snapshot())
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
                self._places.drop(worker)
                self._on_running()
            nursery.cancel_scope.cancel()
        return ended

    def _ears(self, nursery: trio.Nursery) -> Ears:
        """What becomes of the documents of a worker; what takes time is done in `nursery`."""
        return {
            "running": lambda _worker, _document: self._on_running(),
            "want": lambda worker, document: self._give_leaf(worker, document["host"]),
            "audit": lambda _worker, document: self._on_audit(document["entries"]),
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

    def _standing(self) -> Standing:
        accepting = [worker for worker in self._workers if worker is not None and worker.version is not None]
        return Standing(
            len(accepting), sum(worker.links for worker in accepting), sum(worker.openings for worker in accepting),
            self._leaving.is_set(), tuple(written(address) for address in self.addresses),
        )  # fmt: skip

    def _on_audit(self, entries: list[dict[str, Any]]) -> None:
        self._trail.extend(entries)
        self._trailed.set()

    def _on_running(self) -> None:
        if all(worker is not None and worker.version is not None for worker in self._workers):
            self.ready.set()
        self._running.set()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error in a group: one line says enough of a lost source."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
