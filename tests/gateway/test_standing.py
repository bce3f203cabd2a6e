"""When a source is told how a replica stands."""

from dataclasses import replace

import trio
from trio.testing import MockClock

from gateway.standing import TELL_ANYWAY, TELL_PAUSE, Reporter, Standing


class Notes:
    """A source that keeps what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, Standing]] = []
        self.away = False

    async def tell(self, standing: Standing) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise OSError("away")
        self.told.append((trio.current_time(), standing))


QUIET = Standing(2, 0, 0, draining=False, addresses=("127.0.0.1:443",))


async def test_what_changes_is_told_soon_and_what_does_not_now_and_then(autojump_clock: MockClock) -> None:
    """A balancer that sends connections to who had the last one has to see one before it forgets."""
    standing, notes = QUIET, Notes()
    reporter, began = Reporter(notes, lambda: standing), trio.current_time()
    with trio.move_on_after(2.5 * TELL_ANYWAY):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reporter.run)
            await trio.sleep(TELL_ANYWAY / 2)
            standing = replace(QUIET, links=1)
    first, changed, again = notes.told
    assert (first, changed[1], again[1]) == ((began, QUIET), standing, standing)
    assert changed[0] - began <= TELL_ANYWAY / 2 + TELL_PAUSE
    assert TELL_ANYWAY <= again[0] - changed[0] <= TELL_ANYWAY + TELL_PAUSE


async def test_who_was_away_is_told_when_it_is_back(autojump_clock: MockClock) -> None:
    notes = Notes()
    notes.away = True
    with trio.move_on_after(10 * TELL_PAUSE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Reporter(notes, lambda: QUIET).run)
            await trio.sleep(4.5 * TELL_PAUSE)
            notes.away = False
    assert [standing for _, standing in notes.told] == [QUIET]
