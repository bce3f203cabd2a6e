"""What a pod wrote, as the API gives it: of its container, or of its preparation while that is all there was.

Theory of operation. Whoever follows a log follows one start of a container after the other. An answer of the API may
end at any time, cleanly or not: the kubelet or the API server was replaced, the file was, or nothing was written for
hours. So it is asked for anew, ever later, from the time of the last line on (`stamped`), until it ended cleanly after
the container had: then it is whole. If the container was started again meanwhile, the rest is that of the start before
(`previous`). What cannot be had any more is said to be missing. It ends with the pod.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing

import trio

from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.following import MOST_LINES, NOT_YET, Following, Look, latest_start, refused
from controller.runtimes.kubernetes.stamped import MISSING


async def read_logs(
    reading: Callable[[], AbstractAsyncContextManager[Cluster]],
    path: str,
    look: Look,
    another: Callable[[], Awaitable[bool]],
    tail: int,
    follow: bool,
) -> AsyncIterator[bytes]:
    """Give the last `tail` lines of the Kubernetes pod at `path`, then, if told to follow, what is written after.

    `look` gives that pod as it is seen, None while there is none; `another` waits until that may have changed, and
    tells whether it is worth waiting for. Raises RuntimeFailure.
    """
    tail, path = min(tail, MOST_LINES), f"{path}/log"
    async with reading() as api:
        if not follow:
            async with aclosing(_read_once(api, path, look, tail)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        following = Following(look, tail)
        while True:
            if not following.choose():
                if not await another():
                    return
                continue
            if following.owes():
                yield MISSING
            try:
                async with api.stream(path, following.question(), silence=None) as chunks:
                    async for chunk in chunks:
                        if new := following.take(chunk):
                            yield new
            except ClusterFailure as failure:
                said = following.fail(failure, trio.current_time())
            else:
                said = following.end()
            if said:
                yield said
            await trio.sleep(following.pause)


async def _read_once(api: Cluster, path: str, look: Look, tail: int) -> AsyncGenerator[bytes, None]:
    """Give the last lines of what was started last. Raises RuntimeFailure."""
    start = latest_start(look())
    if start is None:
        return
    params = {"container": start[1], "follow": "false", "tailLines": str(tail)}
    try:
        async with api.stream(path, params, silence=None) as chunks:
            async for chunk in chunks:
                yield chunk
    except ClusterFailure as failure:
        if failure.status not in NOT_YET:
            raise refused(failure) from failure
