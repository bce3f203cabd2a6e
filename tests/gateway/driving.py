"""Runs a coroutine of an opening to its end, in a loop of its own."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.loop import Loop
from tests.peers import DEADLINE

Result = TypeVar("Result")


def drive(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Give what it returns, or raise what it raises."""
    outcome: list[Result | BaseException] = []
    loop = Loop()

    async def run() -> None:
        try:
            outcome.append(await coroutine)
        except BaseException as error:
            outcome.append(error)
            if not isinstance(error, Exception):
                raise
        finally:
            loop.stop()

    loop.call(lambda: loop.spawn(run()))
    thread = loop.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "it did not end"
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
