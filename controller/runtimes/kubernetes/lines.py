"""Lines to the API: connections, and what shows who we are, made anew when what they were made of is not what it was.

A kubeconfig is written again by who renews a certificate, a service account's token is another one every hour, and a
program of the kubeconfig has new ones whenever it is asked. So now and then we look whether a file of it changed, and
when the API does not know us (401) all is read again whether or not one did, though not at every 401. Connections that
were made with what holds no longer serve who began on them, and nobody else.
"""

import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import trio

from controller.runtimes.kubernetes.access import Access, CredentialsFailure, stamp_of

CREDENTIALS_LIMIT = 20.0  # seconds a program that fetches them may take
CREDENTIALS_LAST = 30.0  # seconds before we look whether they were renewed
READ_AGAIN_AFTER = 10.0  # seconds between two times that all is read again, whatever the API says

log = logging.getLogger(__name__)


@dataclass
class Line:
    """What was made of one access."""

    access: Access
    http: httpx.AsyncClient
    headers: dict[str, str]
    users: int = 0
    followed: bool = False  # by another line: its last user closes it


class Lines:
    """Gives whoever asks the line that holds at that moment."""

    def __init__(self, access: Access, connected: Callable[[Access], httpx.AsyncClient]) -> None:
        self._connected = connected
        self._line = Line(access, connected(access), {})
        self._until = -math.inf
        self._read_again = -math.inf
        self._doubted = False
        self._renewing = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._problem = ""

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Line]:
        """Give the line. Raises CredentialsFailure."""
        async with self._renewing:
            if trio.current_time() >= self._until:
                await self._renew()
            line = self._line
            line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if line.followed and line.users == 0:
                await _close(line)

    def doubt(self, line: Line) -> None:
        """Take it that the API did not know who came by this line: it is seen to before the next call."""
        if line is self._line:
            self._doubted, self._until = True, -math.inf

    async def aclose(self) -> None:
        """Close the connections."""
        await _close(self._line)

    async def _renew(self) -> None:
        """See that what is shown holds. Raises CredentialsFailure."""
        access, doubted = self._line.access, self._doubted
        if access.again is not None and trio.current_time() >= self._read_again:
            stamp = await trio.to_thread.run_sync(stamp_of, access.sources)
            if doubted or stamp != access.stamp:
                self._read_again = trio.current_time() + READ_AGAIN_AFTER
                await self._follow(access.again)
        try:
            with trio.fail_after(CREDENTIALS_LIMIT):
                self._line.headers = await self._line.access.headers()
        except trio.TooSlowError as error:
            raise CredentialsFailure(
                f"they did not come within {CREDENTIALS_LIMIT:.0f} s; see that the kubeconfig's program asks nobody"
            ) from error
        self._doubted, self._until = False, trio.current_time() + CREDENTIALS_LAST

    async def _follow(self, again: Callable[[], Access]) -> None:
        """Read all again; where that fails, what there was stays, until it does not."""
        try:
            with trio.fail_after(CREDENTIALS_LIMIT):
                access = await trio.to_thread.run_sync(again, limiter=self._thread, abandon_on_cancel=True)
        except trio.TooSlowError:
            self._note(f"they did not come within {CREDENTIALS_LIMIT:.0f} s")
            return
        except Exception as error:  # noqa: BLE001  # files and programs of the kubeconfig, which may fail in any way
            self._note(str(error) or type(error).__name__)
            return
        if access.url != self._line.access.url:
            self._note(f"they are for another cluster, {access.url}; if that is meant, start Podgate anew")
            return
        before, self._line = self._line, Line(access, self._connected(access), {})
        before.followed = True
        if before.users == 0:
            await _close(before)
        self._problem = ""
        log.info("kubernetes: the credentials for %s were read again", access.url)

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("kubernetes: new credentials cannot be used, so those from before are shown: %s", problem)
        self._problem = problem


async def _close(line: Line) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
        await line.http.aclose()
