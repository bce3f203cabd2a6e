"""A runtime without processes: what it sees is what a test says, and every wish made of it is written down."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from controller.desk import Desk
from controller.model import Pod
from controller.pulse import Pulse
from controller.rolekeeper import KeepFailed, Kept, Stalled
from controller.runtimes import Launch, Observed, RuntimeFailure, Stage
from controller.templates import Credential, Parameter, Template, TemplateEndpoint

_Answer = TypeVar("_Answer")

TEMPLATES: Mapping[str, Template] = {
    "db": Template(
        name="db",
        summary="a database",
        start="",
        database_name="{pod}",
        endpoints=(TemplateEndpoint("postgres"), TemplateEndpoint("http", "metrics")),
        credentials=(Credential("owner", "owner"), Credential("read", "reader")),
    ),
    "graph": Template(
        name="graph",
        summary="a database that speaks HTTP too",
        start="",
        database_name="graph",
        endpoints=(TemplateEndpoint("bolt", http="HTTP_PORT"),),
        credentials=(Credential("owner", "root"), Credential("read", "reader")),
    ),
    "page": Template(
        name="page",
        summary="a page",
        start="",
        endpoints=(TemplateEndpoint("http"),),
        parameters=(Parameter("directory", "what to show", required=True), Parameter("title", "of it", "Hello")),
    ),
}


@dataclass
class FakeRuntime:
    """Implements `controller.runtimes.Runtime`. A launched pod is at once as far as `launches` says."""

    now: Callable[[], float] = time.time
    launches: Stage = Stage.READY
    last_words: str = ""
    pods: dict[str, Observed] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    launched: dict[str, Launch] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)  # action: the reason it fails
    hanging: set[str] = field(default_factory=set)  # names of pods whose launch never returns
    looks: list[int | None] = field(default_factory=list)  # how many pods were asked for each time, None: all
    lines: list[bytes] = field(default_factory=list)
    reader_left: trio.Event = field(default_factory=trio.Event)
    launch_of: Callable[[str], Launch | None] = lambda _key: None
    _changes: Pulse = field(default_factory=Pulse)
    _moved: set[str] = field(default_factory=set)

    async def run(self) -> None:
        await trio.sleep_forever()

    async def changed(self) -> Collection[str]:
        if not self._moved:
            await self._changes.wait()
        moved, self._moved = self._moved, set()
        return moved

    async def observe(self, keys: Collection[str] | None = None) -> Mapping[str, Observed]:
        await trio.lowlevel.checkpoint()
        self.looks.append(None if keys is None else len(keys))
        return {key: seen for key, seen in self.pods.items() if keys is None or key in keys}

    def know(self, launch_of: Callable[[str], Launch | None]) -> None:
        self.launch_of = launch_of

    async def launch(self, pod: Launch) -> None:
        await self._begin("launch", pod.key)
        if pod.name in self.hanging:
            await trio.sleep_forever()
        self.launched[pod.key] = pod
        self.show(pod.key, self.launches, pod.generation, self.last_words)

    async def stop(self, key: str, grace: float) -> None:
        await self._begin("stop", key)
        self.show(key, Stage.EXITED)

    async def remove(self, key: str) -> None:
        await self._begin("remove", key)
        del self.pods[key]
        self._tell(key)

    async def logs(self, key: str, tail: int, follow: bool) -> AsyncIterator[bytes]:
        try:
            for line in self.lines[len(self.lines) - tail :]:
                yield line
            if follow:
                await trio.sleep_forever()
        finally:
            self.reader_left.set()

    def show(self, key: str, stage: Stage, generation: int | None = None, message: str = "") -> None:
        """Let a pod be seen so from now on."""
        generation = self.pods[key].generation if generation is None else generation
        upstreams = {"": "127.0.0.1:9000", "metrics": "127.0.0.1:9001"} if stage is Stage.READY else {}
        self.pods[key] = Observed(stage, generation, self.now(), upstreams, message)
        self._tell(key)

    async def _begin(self, action: str, key: str) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((action, key.rsplit("-", 1)[0]))
        if action in self.refusals:
            raise RuntimeFailure(self.refusals[action])

    def _tell(self, key: str) -> None:
        self._moved.add(key)
        self._changes.beat()


@dataclass
class FakeKeeper:
    """Implements `controller.keeping.Keeper`."""

    told: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)
    failure: str = ""
    stalled: bool = False
    hanging: str = ""  # the name of a pod that is never done
    changed: frozenset[str] = frozenset()  # levels where something is wrong every time
    repeated: list[Collection[str]] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)

    async def keep(
        self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str], repeated: Collection[str] = ()
    ) -> Kept:
        await trio.lowlevel.checkpoint()
        self.told.append((trio.current_time(), f"{pod.name} at {address}", dict(passwords)))
        if self.hanging == pod.name:
            await trio.sleep_forever()
        if self.failure:
            raise KeepFailed(self.failure)
        if self.stalled:
            raise Stalled("no answer")
        self.repeated.append(repeated)
        return Kept(self.changed, ("mallory's",) if self.changed & set(repeated) else ())

    async def restore(self, pod: Pod, template: Template, address: str, password: str) -> None:
        await trio.lowlevel.checkpoint()
        self.restored.append(password)
        raise KeepFailed("the owner has made it so")


class DeskInVirtualTime(Desk):
    """Uses the store without a thread: a clock that jumps when nothing runs would not wait for one."""

    async def do(self, work: Callable[[], _Answer]) -> _Answer:
        await trio.lowlevel.checkpoint()
        return work()
