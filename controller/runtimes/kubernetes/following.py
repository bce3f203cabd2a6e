"""How far the log of a pod was followed, from one start of a container to the next, and what is to be asked for. Pure.

Its theory of operation is in logs.py.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.runtimes import RuntimeFailure
from controller.runtimes.kubernetes.client import ClusterFailure
from controller.runtimes.kubernetes.container import MAIN, PREPARE
from controller.runtimes.kubernetes.stamped import MISSING, Stamped

FIRST_PAUSE = 0.1  # seconds before a log is asked for again, doubled each time that brought nothing
LONGEST_PAUSE = 10.0
TOLD_AFTER = 10.0  # seconds without a log before it is said why
MOST_LINES = 1_000_000
NOT_YET = (400, 404)  # "container is waiting to start"; the Kubernetes pod is gone
_MAY_PASS = {0, *NOT_YET, 401, 408, 410, 429}

Look = Callable[[], Mapping[str, Any] | None]
Start = tuple[str, str, int]  # the Kubernetes pod's uid, the container's name, how often it was started again


@dataclass
class Following:
    """How far the log of a pod was followed, from one start to the next."""

    look: Look
    tail: int  # lines to begin with

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.pause = 0.0  # seconds until it is asked for again
        self._start: Start | None = None
        self._log = Stamped()
        self._whole = True  # all of this start was given
        self._broken = False  # the last answer did not end by itself
        self._previous = False  # it is that of the start before the latest that is asked for
        self._asked_of_ended = False  # the container had ended before it was asked for
        self._answered = False  # it was, at least once, since this start is followed
        self._attempts = 0  # that brought nothing, in a row
        self._silent_since = math.inf  # since when it cannot be had
        self._told = False
        self._owed = False

    def choose(self) -> bool:
        """See which start is to be asked for; tell whether one is."""
        latest = latest_start(self.look())
        if latest is None:
            return False
        if latest == self._start:
            return not self._whole
        if self._start is not None and not self._whole:
            if latest[:2] == self._start[:2] and latest[2] == self._start[2] + 1:
                self._previous = True
                return True
            if latest[0] == self._start[0] and latest[1] != self._start[1]:  # the preparation is over, its log is there
                return True
            self._owed = self._broken
        self._turn_to(latest)
        return True

    def owes(self) -> bool:
        """Tell whether it is still to be said that something is missing."""
        owed, self._owed = self._owed, False
        return owed

    def question(self) -> dict[str, str]:
        """Give what to ask for, after `choose` has chosen."""
        self._asked_of_ended = self._previous or not _runs(self.look(), self._start)
        params = {"container": self._start[1] if self._start else MAIN, "timestamps": "true", "follow": "true"}
        if self._previous:
            params |= {"follow": "false", "previous": "true"}
        since = self._log.since()
        if since is not None:
            return params | {"sinceTime": since}
        all_of_it = self._answered and self.tail  # then it was empty
        return params | {"tailLines": str(MOST_LINES if all_of_it else self.tail)}

    def take(self, chunk: bytes) -> bytes:
        """Give what is new in what came."""
        new = self._log.take(chunk)
        if new:
            self._hear()
        return new

    def end(self) -> bytes:
        """Take it that an answer ended by itself; give what is left of it."""
        self._hear(anything=False)
        self._broken, self._answered = False, True
        if not self._asked_of_ended:
            self._wait(0.0)
            return b""
        self._whole, self.pause = True, 0.0
        self.tail = MOST_LINES  # of a later start, all
        rest = self._log.end()
        if self._previous:
            self._turn_to(latest_start(self.look()))
        return rest

    def fail(self, failure: ClusterFailure, now: float) -> bytes:
        """Take it that no answer came, or that one broke off; give what is to be said. Raises RuntimeFailure."""
        if failure.status not in _MAY_PASS and failure.status < 500:
            raise refused(failure) from failure
        if self._previous and failure.status in NOT_YET:
            missing = self._broken
            self._turn_to(latest_start(self.look()))
            return MISSING if missing else b""
        self._broken = self._broken or failure.status not in NOT_YET
        self._wait(failure.retry_after or 0.0)
        self._silent_since = min(self._silent_since, now)
        if failure.status in NOT_YET or self._told or now - self._silent_since < TOLD_AFTER:
            return b""
        self._told = True
        return f"podgate: the pod's log cannot be read now: {failure}; it is tried again\n".encode()

    def _turn_to(self, latest: Start | None) -> None:
        if self._start is not None:
            self.tail = MOST_LINES
        self._start, self._log, self._whole = latest, Stamped(), latest is None
        self._broken = self._previous = self._answered = False

    def _hear(self, *, anything: bool = True) -> None:
        self._silent_since, self._told = math.inf, False
        if anything:
            self._attempts = 0

    def _wait(self, asked: float) -> None:
        self.pause = min(max(FIRST_PAUSE * 2.0 ** min(self._attempts, 16), asked), LONGEST_PAUSE)
        self._attempts += 1


def refused(failure: ClusterFailure) -> RuntimeFailure:
    """Say why a log cannot be read."""
    return RuntimeFailure(f"the pod's log cannot be read: {failure}")


def latest_start(pod: Mapping[str, Any] | None) -> Start | None:
    """Tell which start of which container wrote last."""
    if pod is None:
        return None
    status = pod.get("status", {})
    for name, kind in ((MAIN, "containerStatuses"), (PREPARE, "initContainerStatuses")):
        for container in status.get(kind) or ():
            state = container.get("state", {})
            ran = "running" in state or "terminated" in state or container.get("lastState", {}).get("terminated")
            if container.get("name") == name and ran:
                # In back-off the log is that of the start before: the count has not risen yet.
                count = int(container.get("restartCount", 0))
                return pod["metadata"]["uid"], name, count
    return None


def _runs(pod: Mapping[str, Any] | None, start: Start | None) -> bool:
    """Tell whether a container that was started so runs, as far as it is seen."""
    if pod is None or start is None or latest_start(pod) != start:
        return False
    status = pod.get("status", {})
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return any(each.get("name") == start[1] and "running" in each.get("state", {}) for each in containers)
