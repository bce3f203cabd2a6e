"""A real controller in a thread of the test's own, its API on the home's socket; its pods run nowhere."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from controller.service import run_controller
from controller.settings import Settings
from tests.controller.fakes import TEMPLATES, FakeRuntime

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Real:
    """A running controller."""

    home: Path
    runtime: FakeRuntime

    @property
    def admin(self) -> str:
        """The token that may do everything."""
        return (self.home / "admin.token").read_text().strip()

    def password_file(self, password: str = PASSWORD) -> str:
        path = self.home / "a.password"
        path.write_text(f"{password}\n")
        return str(path)


@contextmanager
def running_controller(home: Path) -> Iterator[Real]:
    """Run a controller on `home` until the block ends."""
    (home / "admin.token").unlink(missing_ok=True)  # a small controller's, too short for a real one
    settings = Settings(home, "pods.localhost", "127.0.0.1", 8443, home / "authority" / "ca.pem")
    real = Real(home, FakeRuntime())
    ready, ending = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        async def serving(_listening: Callable[[], object]) -> None:
            tokens.append(trio.lowlevel.current_trio_token())
            ready.set()
            await ending.wait()

        await run_controller(settings, lambda: real.runtime, TEMPLATES, serving)

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(trio.run, serve)
        running.add_done_callback(lambda _: ready.set())
        assert ready.wait(30)
        if not running.done():
            try:
                yield real
            finally:
                tokens[0].run_sync_soon(ending.set)
        running.result(30)
