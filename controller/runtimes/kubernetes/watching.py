"""Watching: a list, then what changes, for ever.

A list comes with a version of the whole; a watch begins at it and each of its events carries the next. As long as the
server remembers the last one we know, a watch that ended is taken up there and nothing is missed. When it does not
(410 Gone), or what came made no sense, all is listed anew, and the mirror is told what is gone by what is not there.
Bookmarks are versions without an event: where little happens they keep ours from growing too old. The server is asked
to end each watch after some minutes, and each is given up if it says nothing for longer than that; one that ends at
once over and over is asked for ever later.

See https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
"""

import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import trio

from controller.runtimes.kubernetes.client import METADATA, METADATA_OF_ALL, Cluster, ClusterFailure, Gone

JSON = dict[str, Any]

PAGE = 500  # objects asked for at once
MOST_OBJECTS = 100_000  # of one kind
LONGEST_EVENT = 4 * 1024 * 1024  # bytes of a line; etcd takes 1.5 MiB for an object
WATCH_LENGTH = 240  # seconds after which the server is to end a watch
SILENCE = WATCH_LENGTH + 20.0  # seconds without a byte before we do
FIRST_PAUSE = 0.05  # seconds, doubled with each attempt that brought nothing
LONGEST_PAUSE = 15.0  # a watch that lasted longer was none in vain
LONGEST_WAIT = 120.0  # seconds that a server may ask us to stay away (Retry-After)
_TOLD_OF_SPEC = ("replicas",)  # who is to know more asks for the object

log = logging.getLogger(__name__)


class Nonsense(ClusterFailure):
    """What came is no event: what else was in it is unknown, so all is listed anew."""


class Sink(Protocol):
    """Who is told what there is."""

    def replace(self, things: list[JSON]) -> None:
        """Take a whole list."""

    def put(self, thing: JSON) -> None:
        """Take an object that is new or changed."""

    def drop(self, thing: JSON) -> None:
        """Take it that an object is gone."""


class Watching:
    """Follows one kind of objects. `listed` is set when all there is was told once."""

    def __init__(
        self, cluster: Cluster, path: str, params: Mapping[str, str], sink: Sink, jitter: random.Random | None = None,
        *, metadata_only: bool = False,
    ) -> None:  # fmt: skip
        self.listed = trio.Event()
        self.problem = ""  # why nothing is heard; empty while something is
        self._cluster = cluster
        self._path = path
        self._params = dict(params)
        self._accept_all, self._accept = (METADATA_OF_ALL, METADATA) if metadata_only else ("", "")
        self._sink = sink
        self._jitter = jitter or random.Random()  # noqa: S311  # spreads repetitions, no more
        self._version = ""  # empty: to be listed
        self._attempts = 0  # that brought nothing, in a row

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            asked = 0.0
            try:
                if not self._version:
                    await self._list()
                await self._follow()
            except Gone as gone:
                log.info("watch of %s: begun anew: %s", self._path, gone)
                self._version = ""
            except ClusterFailure as failure:
                if isinstance(failure, Nonsense):
                    self._version = ""
                self._note(str(failure))
                asked = min(failure.retry_after or 0.0, LONGEST_WAIT)
            await trio.sleep(max(self._pause(), asked))
            self._attempts += 1

    async def _list(self) -> None:
        """Read all there is, page by page. Raises ClusterFailure, Gone."""
        things: list[JSON] = []
        params = {**self._params, "limit": str(PAGE)}
        while True:
            page = await self._cluster.get(self._path, params, self._accept_all)
            metadata = page.get("metadata", {}) if page else {}
            if page is None or not isinstance(page.get("items"), list) or "resourceVersion" not in metadata:
                raise ClusterFailure(
                    f"the cluster has no list of {self._path}; see that it is Kubernetes 1.27 or newer"
                )
            things += page["items"]
            if len(things) > MOST_OBJECTS:
                raise ClusterFailure(
                    f"{self._path} has more than {MOST_OBJECTS} objects; give Podgate its own namespace"
                )
            onward = metadata.get("continue")
            if not onward:
                break
            params["continue"] = onward
        self._sink.replace([_slim(thing) for thing in things])
        self._version = str(metadata["resourceVersion"])
        self.listed.set()
        self._clear()

    async def _follow(self) -> None:
        """Tell what changes until the watch ends. Raises ClusterFailure, Gone."""
        params = {
            **self._params, "watch": "true", "resourceVersion": self._version,
            "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_LENGTH),
        }  # fmt: skip
        begin = trio.current_time()
        try:
            stream = self._cluster.stream(self._path, params, SILENCE, self._accept)
            async with stream as chunks, aclosing(lines(chunks)) as whole:
                async for line in whole:
                    self._take(line)
        finally:
            if trio.current_time() - begin > LONGEST_PAUSE:
                self._attempts = 0
        if self._attempts == 0:  # the server ended it in its time
            self._clear()

    def _take(self, line: bytes) -> None:
        """Tell one event. Raises ClusterFailure, Gone."""
        try:
            event = json.loads(line)
            kind, thing = event["type"], event["object"]
            if kind == "ERROR":
                raise _error(thing)
            version = thing["metadata"]["resourceVersion"]
            name = thing["metadata"].get("name", "")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Nonsense("an event that makes no sense; all is listed anew") from error
        if kind == "DELETED" and name:
            self._sink.drop(thing)
        elif kind in ("ADDED", "MODIFIED") and name:
            self._sink.put(_slim(thing))
        self._version = str(version)
        self._attempts = 0
        self._clear()

    def _clear(self) -> None:
        if self.problem:
            log.info("watch of %s: heard again", self._path)
        self.problem = ""

    def _note(self, problem: str) -> None:
        """Log a problem once, however often it comes again."""
        if problem != self.problem:
            log.warning("watch of %s: %s", self._path, problem)
        self.problem = problem

    def _pause(self) -> float:
        if self._attempts == 0:
            return 0.0
        return min(FIRST_PAUSE * 2.0 ** min(self._attempts, 16), LONGEST_PAUSE) * self._jitter.uniform(0.5, 1.0)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Give whole lines; what a stream breaks off in the middle of is none. Raises Nonsense if one is too long."""
    rest = bytearray()
    async for chunk in chunks:
        begin = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", begin)) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            begin = 0
            _check_length(len(line))
            if line.strip():
                yield line
        _check_length(len(rest))


def _check_length(length: int) -> None:
    if length > LONGEST_EVENT:
        raise Nonsense(f"an event is longer than {LONGEST_EVENT} bytes; all is listed anew")


def _error(status: JSON) -> ClusterFailure:
    """Read why the server ended a watch (a `Status`): 410 says that our version is too old."""
    text, code = str(status.get("message", "the watch failed"))[:500], status.get("code")
    if code == 410:
        return Gone(text, 410)
    asked = (status.get("details") or {}).get("retryAfterSeconds")
    return Nonsense(f"{text}; all is listed anew", retry_after=asked if type(asked) is int else None)


def _slim(thing: JSON) -> JSON:
    """Leave out what is long and says nothing to us: of ten thousand pods it would be half a gigabyte."""
    thing.get("metadata", {}).pop("managedFields", None)
    spec = thing.get("spec")
    if isinstance(spec, dict):
        thing["spec"] = {key: spec[key] for key in _TOLD_OF_SPEC if key in spec}
    return thing
