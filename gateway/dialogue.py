"""Dialogue: talking to a database that a connection was just opened to, before the relay takes it over, and how that
may end.
"""

import socket
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import Reason, Refusal
from gateway.waiting import readable, writable
from gateway.wire.verdict import Malformed, More

_CHUNK = 16 * 1024
Parsed = TypeVar("Parsed")


class NotTaken(Exception):
    """A database does not take the gateway's own login; the text is for the log."""


class Said(Exception):
    """A database has refused in its own words, to be passed on."""

    def __init__(self, words: bytes) -> None:
        super().__init__("the database refused")
        self.words = words


class Dialogue:
    """The gateway's side of it; `unread` holds what was received and not yet taken."""

    def __init__(self, upstream: socket.socket, host: str) -> None:
        """`host` names the database in refusals."""
        self._upstream = upstream
        self._host = host
        self.unread = b""

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises Refusal."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._upstream.send(view) :]
            except BlockingIOError:
                await writable(self._upstream)
            except OSError as error:
                raise self.broke_off(error.strerror) from error

    async def ask(self, data: bytes) -> None:
        """Send all of `data`, and wait until something is said to it: to look at once would be in vain. Raises
        Refusal.
        """
        await self.send(data)
        if not self.unread:
            await readable(self._upstream)

    async def look(self, parse: Callable[[bytes], Parsed | More]) -> Parsed:
        """Receive until `parse` has an answer about what is unread, from its first byte on. Raises Refusal."""
        waiting_for = 0
        while True:
            if len(self.unread) >= waiting_for:
                answer = self.read(parse, self.unread)
                if not isinstance(answer, More):
                    return answer
                waiting_for = answer.at_least
            self.unread += await self._receive()

    def read(self, parse: Callable[[bytes], Parsed], data: bytes) -> Parsed:
        """Read what the database has said; it is to blame for what cannot be read. Raises Refusal."""
        try:
            return parse(data)
        except Malformed as error:
            raise self.broke_off(str(error)) from error

    def take(self, size: int) -> bytes:
        """Take so much of what is unread."""
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def rest(self) -> bytes:
        """Take all that is unread."""
        return self.take(len(self.unread))

    def broke_off(self, why: str | None) -> Refusal:
        """Refuse a client because of the database; `why` is for the log."""
        return Refusal(
            Reason.UNREACHABLE,
            f"the database behind {self._host} broke off the login",
            "Try again; if it stays so, look at its logs: podgate pod logs NAME",
            for_log=why or "",
        )

    async def _receive(self) -> bytes:
        while True:
            try:
                data = self._upstream.recv(_CHUNK)
            except BlockingIOError:
                await readable(self._upstream)
            except OSError as error:
                raise self.broke_off(error.strerror) from error
            else:
                if not data:
                    raise self.broke_off("it ended the connection")
                return data
