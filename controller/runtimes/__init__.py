"""Where pods run. A runtime starts, stops, watches and forgets pods; it knows nothing of users, routes or stores.

    process     each pod is a process tree on this machine, under a small shim that outlives the controller
    kubernetes  each pod is a StatefulSet of one in a cluster

The reconciler talks to every runtime through `Runtime` alone. Calls are idempotent and return soon: they begin the
work, and what came of it is seen by `observe`, which tells what is, never what was asked for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class RuntimeFailure(Exception):
    """A pod could not be started, stopped or removed; the text is for the pod's owner and says what to do."""

    def __init__(self, text: str, output: bytes = b"") -> None:
        super().__init__(text)
        self.output = output  # what a program wrote that failed, for the pod's log


class Stage(StrEnum):
    """How far a pod's processes are."""

    STARTING = "starting"  # its processes run; it does not yet answer its protocol
    READY = "ready"  # it answered its protocol: usable
    STOPPING = "stopping"  # asked to end, some processes are left
    EXITED = "exited"  # no process is left; its data and logs are


async def always() -> None:
    """Be right to start a pod, as a controller without replicas is."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All a runtime needs to start a pod. `generation` rises whenever the pod is to be started anew.

    `confirm` raises RuntimeFailure if this controller is not to start pods any more: a runtime that takes a while to
    get ready asks again just before it does what cannot be taken back.
    """

    key: str  # names the pod within the runtime for ever: safe as a file name, never used for another pod
    number: int  # positive, never used for another pod of this home
    name: str
    template: str
    generation: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    confirm: Callable[[], Awaitable[None]] = field(default=always, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a runtime sees of one pod."""

    stage: Stage
    generation: int
    since: float  # when the stage began, seconds since 1970
    upstreams: Mapping[str, str] = field(default_factory=dict)  # endpoint name -> address as routes write it
    message: str = ""  # for people: why it exited ("exit status 1: last log line"), what it waits for


class Runtime(Protocol):
    """What the reconciler asks of a runtime."""

    async def run(self) -> None:
        """Watch the pods until cancelled: adopt those an earlier life left running, probe readiness, notice exits."""

    async def changed(self) -> Collection[str] | None:
        """Wait until the answer of `observe` may have changed since the last call of `changed` returned; give the keys
        of the pods of which it may, None where that is not known.
        """

    async def observe(self, keys: Collection[str] | None = None) -> Mapping[str, Observed]:
        """Tell of every pod that has anything here (processes or data), by key; of those of `keys` alone, if given."""

    def know(self, launch_of: Callable[[str], Launch | None]) -> None:
        """Learn how to ask what a pod is to be like, by its key; None: it is not known. Some runtimes put right by it
        what somebody else changed.
        """

    async def launch(self, pod: Launch) -> None:
        """Start a pod that is not running. Raises RuntimeFailure."""

    async def stop(self, key: str, grace: float) -> None:
        """Ask a pod to end; after `grace` seconds end the whole of its process tree."""

    async def remove(self, key: str) -> None:
        """Forget an exited pod: its data, logs and users are gone after this. Raises RuntimeFailure."""

    def logs(self, key: str, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Give the last `tail` lines a pod wrote, then, if told to follow, what it writes from now on."""
