"""What a pod wrote, as the API gives it: of its container, or of its preparation while that is all there was."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from controller.runtimes import RuntimeFailure
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.container import MAIN, PREPARE

AGAIN = 1.0  # seconds before a log is asked for again that could not be had yet, if nothing happens sooner
MOST_LINES = 1_000_000
_NOT_YET = 400  # "container is waiting to start"


async def read_logs(
    reading: Callable[[], AbstractAsyncContextManager[Cluster]],
    path: str,
    look: Callable[[], Mapping[str, Any] | None],
    another: Callable[[], Awaitable[bool]],
    tail: int,
    follow: bool,
) -> AsyncIterator[bytes]:
    """Give the last `tail` lines of the Kubernetes pod at `path`, then, if told to follow, what is written after.

    `look` gives that pod as it is seen, None while there is none; `another` waits until that may have changed, and
    tells whether it is worth waiting for. Raises RuntimeFailure.
    """
    given: tuple[str, str, int] | None = None  # the container's start that was given
    lines = min(tail, MOST_LINES)
    async with reading() as api:
        while True:
            start = _latest_start(look())
            if start is None or start == given:
                if not follow or not await another():
                    return
                continue
            given = start
            params = {"container": start[1], "follow": str(follow).lower(), "tailLines": str(lines)}
            try:
                async with api.stream(f"{path}/log", params, silence=None) as chunks:
                    async for chunk in chunks:
                        yield chunk
                lines = MOST_LINES  # of a later start, all
            except ClusterFailure as failure:
                if failure.status not in (_NOT_YET, 404):
                    raise RuntimeFailure(f"the pod's log cannot be read: {failure}") from failure
                if not follow:
                    return
                given = None
                with trio.move_on_after(AGAIN):
                    await another()


def _latest_start(pod: Mapping[str, Any] | None) -> tuple[str, str, int] | None:
    """Tell which start of which container wrote last: the pod's uid, the container's name, its number of restarts."""
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
