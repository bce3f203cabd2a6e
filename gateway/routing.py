"""The routes of a replica: followed at their source, judged once, passed to every worker, and kept on disk.

A version is acknowledged when all workers run it. While the source is away the table that was told last stays; at a
start without it, the last good one (`gateway.lastgood`).
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import trio

from gateway import lastgood
from gateway.control import encode
from gateway.enrolment import reason_of
from gateway.process import WorkerProcess
from gateway.sources import NotUp, Source
from gateway.standing import Reporter
from router.snapshot import InvalidDocument, Rejected, Routes, Version, advance, snapshot_document

log = logging.getLogger("podgate.supervisor")

FIRST_ROUTES_PATIENCE = 10.0  # seconds to wait for a first table before serving what was last known, or nothing
LAST_GOOD_PATIENCE = 5.0  # the same where there is a table that says who may come in
SAVE_PAUSE = 1.0  # seconds that changes are gathered before the table is written to disk
RETRY_FIRST, RETRY_LAST = 0.05, 0.5  # seconds between tries to reach a lost source
NOTHING_TOLD = Version("none", 0)  # of a table that no source has told


class InForce(NamedTuple):
    """How a replica goes by the routes that it was told."""

    routes: int
    quarantined: int  # hosts whose route cannot be used
    version: int  # that all workers run; 0: none
    told: int  # the last one
    lag: float  # seconds for which a worker has gone by something older
    is_followed: bool  # the source has told something since it was lost last


class Routing:
    """The routes of one replica."""

    def __init__(
        self, source: Source, keep: Path, workers: Sequence[WorkerProcess | None], ready: trio.Event, reporter: Reporter
    ) -> None:
        """`workers`: None where there is none at the moment; the caller's own list, which changes. `ready` is set once
        all of them have accepted connections.
        """
        self._source = source
        self._keep = keep
        self._workers = workers
        self._ready = ready
        self._reporter = reporter
        self._routes = self._saved = Routes()
        self._rejected: dict[str, str] = {}
        self._told: tuple[Version, int] | None = None  # what was acknowledged last
        self._was_told = False  # the source has been there in our life
        self._is_followed = False  # it is there now
        self._is_missed = False  # it was told that it is not
        self._behind_since = 0.0  # of a clock that never goes back; counts while a worker is behind
        self._running = trio.Event()  # set, and made anew, whenever a worker runs another version
        self._changed = trio.Event()  # the same for the table
        self.begun = trio.Event()  # there is a table, if only an empty one

    async def run(self) -> None:
        """Follow the source until cancelled."""
        async with trio.open_nursery() as nursery:
            for task in (self._follow, self._acknowledge, self._save, self._have_patience):
                nursery.start_soon(task)

    @property
    def has_nothing(self) -> bool:
        """Whether it goes by a table that nobody has told, for want of another."""
        return self._routes.version.epoch == NOTHING_TOLD.epoch

    def snapshot(self) -> bytes:
        """Give all routes as a worker is told them."""
        table = self._routes.table
        document = snapshot_document(self._routes.version, table, table.quarantined, self._routes.credentials)
        return encode({"kind": "routes", "document": document})

    def in_force(self) -> InForce:
        """Tell how the workers go by what was told."""
        table, running = self._routes.table, self._common_version()
        lag = time.monotonic() - self._behind_since if self._is_behind else 0.0
        number = running.number if running is not None else 0
        return InForce(len(table), len(table.quarantined), number, self._number, lag, self._is_followed)

    def look_at_workers(self) -> None:
        """Acknowledge what they run by now."""
        self._running.set()

    def save(self) -> None:
        """Keep the table on disk, unless it is there or nobody has told one."""
        routes = self._routes
        if routes is not self._saved and not self.has_nothing:
            lastgood.save(self._keep, routes)
            self._saved = routes

    # ---- from the source

    async def _follow(self) -> None:
        pause = RETRY_FIRST
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[object](0)
                    nursery.start_soon(self._follow_once, send)
                    async for document in receive:
                        self._take(document)
                        self._tell_of_found()
                        pause = RETRY_FIRST
            except* (OSError, httpx.HTTPError, ValueError) as lost:
                if pause < RETRY_LAST <= pause * 2:  # once, when it has been away for longer than a restart takes
                    self._tell_of_lost(_first(lost))
            self._is_followed = False
            await trio.sleep(pause)
            pause = min(pause * 2, RETRY_LAST)

    def _tell_of_found(self) -> None:
        if self._is_missed:
            log.info("routes: the source is there again; going on with version %d", self._number)
        self._is_followed, self._is_missed = True, False

    def _tell_of_lost(self, error: BaseException) -> None:
        self._is_missed = True
        if isinstance(error, NotUp) and not self._was_told:  # `podgate serve` starts both at once
            log.info("routes: waiting for the controller to start; going on with version %d", self._number)
            return
        level = logging.WARNING if self.begun.is_set() else logging.INFO
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
        if not self._is_behind:
            self._behind_since = time.monotonic()
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
        encoded = self.snapshot() if is_snapshot else encode({"kind": "routes", "document": document})
        for worker in self._workers:
            if worker is not None:
                worker.post_routes(encoded)
        self.begun.set()
        self._changed.set()
        self._running.set()

    # ---- back to it

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
                        reason = reason_of(error)
                        log.warning("routes: version %d could not be acknowledged: %s", version.number, reason)
                    away = True
                    with trio.move_on_after(RETRY_LAST):
                        await self._running.wait()
                    continue
            await self._running.wait()

    def _common_version(self) -> Version | None:
        """Give the version that every accepting worker runs or has passed, if there is one."""
        versions = [worker.version for worker in self._workers if worker is not None and worker.version is not None]
        if len(versions) < len(self._workers) and not self._ready.is_set():
            return None
        if not versions or any(version.epoch != self._routes.version.epoch for version in versions):
            return None
        return min(versions)

    @property
    def _is_behind(self) -> bool:
        """Whether a worker that accepts connections goes by something older than what was told last."""
        told = self._routes.version
        return any(worker is not None and worker.version not in (None, told) for worker in self._workers)

    # ---- on disk

    async def _have_patience(self) -> None:
        """Start by what was last known if the source does not tell in time; a first start begins with no routes."""
        document = await trio.to_thread.run_sync(lastgood.load, self._keep)
        # A table with credentials may be older than a revocation: whoever knows better is given time to say so.
        has_credentials = isinstance(document, dict) and bool(document.get("credentials"))
        patience = FIRST_ROUTES_PATIENCE if document is None else LAST_GOOD_PATIENCE if has_credentials else 0.0
        with trio.move_on_after(patience):
            await self.begun.wait()
        if self.begun.is_set():
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
            await trio.to_thread.run_sync(self.save)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error in a group: one line says enough of a lost source."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
