"""Desk: how the rest of the controller uses the store, in a thread and by one call at a time: a slow disk holds up no
stream.

Who changes something holds `changing` from its look at what there is until memory knows what became of it.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import trio

from controller.store.store import Store

_Answer = TypeVar("_Answer")


class Desk:
    """Takes work to the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changing: AbstractAsyncContextManager[object] = trio.Lock()
        self._thread = trio.CapacityLimiter(1)

    async def do(self, work: Callable[[], _Answer]) -> _Answer:
        """Do work with the store. Raises StoreFailure and whatever `work` raises."""
        return await trio.to_thread.run_sync(work, limiter=self._thread)
