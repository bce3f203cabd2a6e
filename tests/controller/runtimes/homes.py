"""A home with a running process runtime, and templates of a few lines made for a test."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import trio

from controller.runtimes import Launch, Observed, Runtime, Stage
from controller.runtimes.process import ProcessRuntime
from controller.templates import InCluster, Parameter, Template, TemplateEndpoint, load_templates
from tests.ports import free_port

PATIENCE = 60.0  # seconds until a test gives up
SECRETS = {"owner": "owner-" + "o" * 20, "write": "write-" + "w" * 20, "read": "read-" + "r" * 20}
SECRETS["keeper"] = "keeper-" + "k" * 20

IMAGE = "example.test/nothing:1"  # never pulled: a double of the kubelet has no images


# A pod that runs what its parameter says, ready at once or when it listens on $PORT.
COMMAND = replace(
    load_templates()["web"],
    software=(),
    endpoints=(),
    parameters=(Parameter("command", "what to run"), Parameter("directory", "not used")),
    kubernetes=InCluster(IMAGE),
)
LISTENER = replace(
    COMMAND,
    name="web",
    endpoints=(TemplateEndpoint("tcp", port="PORT"),),
    kubernetes=InCluster(IMAGE, ports={"PORT": free_port()}),
)
LISTEN = (  # what a pod of LISTENER runs
    'exec python3 -c \'import os, socket; s = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))\n'
    "while True: s.accept()[0].close()'"
)
TEMPLATES: Mapping[str, Template] = {**load_templates(), "command": COMMAND, "listener": LISTENER}


@contextmanager
def new_home() -> Iterator[Path]:
    """Give a home with a short path (sockets) that pods' users may pass through, as the controller makes it."""
    home = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home)


class Living:
    """One life of a controller's runtime; `home` is that of processes."""

    def __init__(self, runtime: Runtime, home: Path = Path("/nonexistent")) -> None:
        self.home = home
        self.runtime = runtime

    async def launch(self, key: str, template: str = "command", generation: int = 1, **more: str) -> None:
        """Start a pod; further arguments are its parameters, `env_` before a name makes it a variable."""
        env = {name[4:]: value for name, value in more.items() if name.startswith("env_")}
        parameters = {name: value for name, value in more.items() if not name.startswith("env_")}
        number = int(key.strip("abcdefghijklmnopqrstuvwxyz") or 1)
        await self.runtime.launch(Launch(key, number, f"my-{key}", template, generation, parameters, env, SECRETS))

    async def until(self, key: str, wanted: Callable[[Observed], bool]) -> Observed:
        """Wait, by `changed` alone, until a pod is as wanted."""
        with trio.fail_after(PATIENCE):
            while True:
                seen = (await self.runtime.observe()).get(key)
                if seen is not None and wanted(seen):
                    return seen
                await self.runtime.changed()

    async def until_ready(self, key: str) -> Observed:
        seen = await self.until(key, lambda seen: seen.stage in {Stage.READY, Stage.EXITED})
        assert seen.stage is Stage.READY, f"{seen}\n{await self.log(key)}"
        return seen

    async def until_exited(self, key: str, generation: int = 1) -> Observed:
        return await self.until(key, lambda seen: seen.stage is Stage.EXITED and seen.generation == generation)

    async def until_gone(self, key: str) -> None:
        """Wait, by `changed` alone, until nothing is seen of a pod."""
        with trio.fail_after(PATIENCE):
            while key in await self.runtime.observe():
                await self.runtime.changed()

    async def run_to_end(self, key: str, command: str, **more: str) -> Observed:
        await self.launch(key, "command", 1, command=command, **more)
        return await self.until_exited(key)

    async def end(self, key: str, grace: float = 5.0) -> Observed:
        await self.runtime.stop(key, grace)
        return await self.until(key, lambda seen: seen.stage is Stage.EXITED)

    async def log(self, key: str, tail: int = 1000) -> str:
        return b"".join([data async for data in self.runtime.logs(key, tail, follow=False)]).decode()

    async def until_wrote(self, key: str, text: str) -> None:
        """Follow a pod's log until a text stands in it."""
        seen = b""
        logs = cast(AsyncGenerator[bytes], self.runtime.logs(key, 1000, follow=True))
        with trio.fail_after(PATIENCE):
            async with aclosing(logs):
                async for data in logs:
                    seen = (seen + data)[-100_000:]
                    if text.encode() in seen:
                        return

    def shim_of(self, key: str) -> int:
        assert isinstance(self.runtime, ProcessRuntime)
        launched = self.runtime._pods()[key].directory
        record = launched.shim(launched.launched().generation)  # type: ignore[union-attr]
        assert record is not None
        return record[0]


@asynccontextmanager
async def life(home: Path) -> AsyncIterator[Living]:
    """Run a runtime on `home` and then drop it as a killed controller would; its pods go on."""
    living = Living(ProcessRuntime(home, TEMPLATES), home)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(living.runtime.run)
        yield living
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def only_life(home: Path) -> AsyncIterator[Living]:
    """Run a runtime on `home`, and end all its pods in the end."""
    async with life(home) as living:
        try:
            yield living
        finally:
            with trio.CancelScope(shield=True):
                for key in await living.runtime.observe():
                    await living.end(key, grace=0.0)


def processes_with(mark: str) -> list[int]:
    """Find processes that have `mark` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if mark in arguments and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def a_mark() -> str:
    """Make an argument by which a test finds its own processes: a time no other sleeps."""
    return f"{100000 + secrets.randbelow(10**6)}.{secrets.randbelow(10**6)}"
