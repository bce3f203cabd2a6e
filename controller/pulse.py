"""Pulse: tell everybody who waits that something changed; what changed they look up themselves."""

import trio


class Pulse:
    """Many may wait; a beat wakes all who wait now. Between looking and waiting must be no other await."""

    def __init__(self) -> None:
        self._next = trio.Event()

    def beat(self) -> None:
        """Wake all who wait."""
        self._next.set()
        self._next = trio.Event()

    async def wait(self) -> None:
        """Wait for the next beat."""
        await self._next.wait()
