"""Desk: how the rest of the controller uses the store, in a thread and by one call at a time: a slow disk holds up no
stream.

Who changes something holds `changing` from its look at what there is until memory knows what became of it. Changes of
single pods that wait for that are made together, in one transaction: what takes time is to wait for the disk, and one
wait does for all of them.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import trio

from controller.store.database import StoreFailure
from controller.store.store import Store

MOST_TOGETHER = 64  # changes in one transaction: others wait for it

_Answer = TypeVar("_Answer")
_Known = TypeVar("_Known")
Work = Callable[[], _Answer]
Decision = tuple[Work[object] | None, Callable[[Any], _Known]]  # what to do at the store, and how to know its answer


@dataclass(eq=False, slots=True)
class _Change:
    """A change of one pod that waits to be made."""

    key: str
    decide: Callable[[], Decision[Any]]
    alone: bool
    is_over: bool = False
    known: Any = None
    error: Exception | None = None

    def end(self, known: object = None, error: Exception | None = None) -> None:
        """Say what came of it, to who asked."""
        self.known, self.error, self.is_over = known, error, True


class Desk:
    """Takes work to the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changing: AbstractAsyncContextManager[object] = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._waiting: list[_Change] = []
        self._making = trio.Lock()

    async def do(self, work: Work[_Answer]) -> _Answer:
        """Do work with the store. Raises StoreFailure and whatever `work` raises."""
        return await trio.to_thread.run_sync(work, limiter=self._thread)

    async def change(self, key: str, decide: Callable[[], Decision[_Known]], *, alone: bool = False) -> _Known:
        """Change one pod, as is decided by what is known then; give what is known after it.

        `alone`: other pods matter too, so nothing else is decided before this is known. Raises StoreFailure and
        whatever `decide` and the work raise. Who is cancelled meanwhile does not know whether it was done.
        """
        change = _Change(key, decide, alone)
        self._waiting.append(change)
        try:
            async with self._making:
                if not change.is_over:
                    await self._make_with(change)
        finally:
            self._waiting.remove(change)
        if change.error is not None:
            raise change.error
        known: _Known = change.known
        return known

    async def _make_with(self, change: _Change) -> None:
        """Make a change and those that wait with it; where the store fails, it does so for all of them."""
        try:
            async with self.changing:
                await self._make(self._batch(change))
        except StoreFailure as failure:
            for each in self._batch(change):
                each.end(error=failure)
            raise

    def _batch(self, first: _Change) -> list[_Change]:
        """Give what is made together: `first` and those that wait, of no pod two."""
        batch = {first.key: first}
        for each in self._waiting:
            if first.alone or len(batch) == MOST_TOGETHER:
                break
            if not each.is_over and not each.alone:
                batch.setdefault(each.key, each)
        return list(batch.values())

    async def _make(self, batch: list[_Change]) -> None:
        """Make changes, all in one transaction. Of one that is not over after this nothing was done."""
        decided: dict[_Change, Decision[Any]] = {}
        for each in batch:
            try:
                work, know = each.decide()
            except Exception as error:  # noqa: BLE001  # for who asked
                each.end(error=error)
                continue
            if work is None:
                each.end(know(None))
            else:
                decided[each] = work, know
        try:
            works = [work for work, _know in decided.values() if work is not None]
            answers = await self.do(partial(self.store.together, works)) if works else []
        except Exception as error:  # noqa: BLE001  # for all who asked
            for each in decided:
                each.end(error=error)
        else:
            for (each, (_work, know)), answer in zip(decided.items(), answers, strict=True):
                if isinstance(answer, Exception):
                    each.end(error=answer)
                else:
                    each.end(know(answer))
