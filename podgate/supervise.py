"""The process behind `podgate serve` and `podgate gateway`: it keeps the gateway's workers and the controller alive.

SIGTERM and SIGINT drain: after its notice nothing new is accepted, open links get their grace period; a second one
does not wait.
SIGHUP reloads the routes file and the certificate. Pods outlive all of this.
"""

import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from gateway.supervisor import Supervisor

log = logging.getLogger("podgate.serve")

CRASH_SPAN = 5.0  # seconds: a controller that ends sooner is started again after a growing pause
CRASH_FIRST, CRASH_LAST = 0.2, 10.0  # seconds of that pause
CONTROLLER_GRACE = 10.0  # seconds for the controller to end
UNUSABLE = 2  # the status of a controller whose settings cannot be


class AlreadyRunning(Exception):
    """Another process works on this home; the text says so and what to do."""


class CannotBegin(Exception):
    """The controller cannot be as it is told to be; the text says so and what to do."""


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Hold `lock` while this runs. Raises AlreadyRunning."""
    # For its owner alone: whoever can open a file can lock it.
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a+") as file:
        os.fchmod(file.fileno(), 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"{what} already runs on {lock.parent} (process {holder}); stop it, or choose another --home"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


async def run(supervisor: Supervisor, controller: list[str] | None, on_ready: Callable[[], None]) -> None:
    """Run a gateway, and beside it the controller started by the command line `controller`, until told to stop.

    Raises CannotBegin.
    """
    begun = True
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            def refuse() -> None:
                nonlocal begun
                begun = False
                nursery.cancel_scope.cancel()

            nursery.start_soon(_obey, signals, supervisor, nursery.cancel_scope)
            nursery.start_soon(_announce, supervisor, on_ready)
            if controller is not None:
                nursery.start_soon(_keep_controller, controller, refuse)
            await supervisor.run()
            nursery.cancel_scope.cancel()
    if not begun:
        raise CannotBegin("the controller cannot begin; mend what it says above, and start again")


async def _announce(supervisor: Supervisor, on_ready: Callable[[], None]) -> None:
    await supervisor.ready.wait()
    on_ready()


async def _obey(signals: object, supervisor: Supervisor, everything: trio.CancelScope) -> None:
    draining = False
    async for number in signals:  # type: ignore[attr-defined]  # trio does not export the type of its receiver
        if number == signal.SIGHUP:
            log.info("reloading")
            supervisor.reload()
        elif draining:
            everything.cancel()
        else:
            draining = True
            log.info("draining: open links get their time to end; once more to end at once")
            supervisor.drain()


async def _keep_controller(command: list[str], refuse: Callable[[], None]) -> None:
    """Keep one controller process alive. It ends by itself when this process does: its pipe reads an end.

    Where the first one cannot be as it is told to be, `refuse` is called: later ones may meet settings that somebody is
    about to change, while pods and links go on.
    """
    pause, is_first = 0.0, True
    while True:
        began = time.monotonic()
        status = await _run_controller(command)
        if is_first and status == UNUSABLE:
            refuse()
            return
        is_first = False
        pause = min(max(pause * 2, CRASH_FIRST), CRASH_LAST) if time.monotonic() - began < CRASH_SPAN else 0.0
        log.error("controller ended (status %s); pods and links go on, started again in %.1f s", status, pause)
        await trio.sleep(pause)


async def _run_controller(command: list[str]) -> int:
    read_end, write_end = os.pipe()
    try:
        process = await trio.lowlevel.open_process(
            [*command, "--parent-pipe", str(read_end)], stdin=subprocess.DEVNULL, pass_fds=[read_end]
        )
        os.close(read_end)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                with trio.CancelScope(shield=True):
                    with trio.move_on_after(CONTROLLER_GRACE):
                        await process.wait()
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
    finally:
        os.close(write_end)
