"""The process runtime: each pod is a process tree on this machine, under a shim that outlives the controller.

Theory of operation. Nothing about a pod is known by memory alone. Its directory holds the records (records.py), and a
lock that the shim keeps for its whole life: taken before the shim is started and passed on to it, so that at any
moment, whoever was killed, "locked" means "a shim is alive, or just being started". A controller that starts reads the
records of every pod and watches those that are locked; it does not matter which life of it started them.

One task watches each living pod: it waits for the shim by a pidfd (its number and start time must both agree), asks the
pod's endpoints until they answer, and when the shim has gone kills what may be left. `observe` answers from memory what
the tasks last read from the records.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import trio

from controller.runtimes import Launch, Observed, RuntimeFailure, Stage, shim
from controller.runtimes.cache import Cache
from controller.runtimes.launching import check_reachable, copy_template, environment, place, shim_spec, user_of
from controller.runtimes.logs import read_log
from controller.runtimes.processes import end_leftovers, opened
from controller.runtimes.readiness import until_ready
from controller.runtimes.records import Launched, PodDirectory, remove_tree
from controller.templates import InvalidParameter, Template

log = logging.getLogger(__name__)

_STARTING_INTERVAL = 0.02  # seconds between looks for the record of a shim that is just being started
_FULL_DISK_INTERVAL = 1.0  # seconds between attempts to write a record that could not be written
_REMOVED = ".removed-"  # begins the name of a pod's directory while it is being deleted


class Pod:
    """What the runtime keeps in memory of one pod."""

    def __init__(self, directory: PodDirectory) -> None:
        self.directory = directory
        self.launched = directory.launched()
        self.observed = directory.observe(self.launched)
        self.watched: Launched | None = None  # the launch whose end is not yet seen to
        self.busy = trio.Lock()  # held while its processes or its directory are made or ended


class ProcessRuntime:
    """Runs pods as process trees on this machine. See controller.runtimes.Runtime."""

    def __init__(self, home: Path, templates: Mapping[str, Template]) -> None:
        self._home = home.resolve()
        self._directory = self._home / "pods"
        self._templates = templates
        self._cache = Cache(self._home / "cache")
        self._known: dict[str, Pod] | None = None
        self._unwatched: list[Pod] = []
        self._to_watch = trio.Event()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Watch the pods until cancelled."""
        try:
            check_reachable(self._home)
        except RuntimeFailure as failure:
            log.warning("no pod can be started: %s", failure)
        self._pods()
        async with trio.open_nursery() as nursery:
            while True:
                for pod in self._unwatched:
                    nursery.start_soon(self._watch, pod)
                self._unwatched.clear()
                await self._to_watch.wait()
                self._to_watch = trio.Event()

    async def changed(self) -> None:
        """Wait until the answer of `observe` may have changed since the last call of `changed` returned."""
        await self._changed.wait()
        self._changed = trio.Event()

    async def observe(self, keys: Collection[str] | None = None) -> Mapping[str, Observed]:
        """Tell of every pod that has a directory here."""
        pods = self._pods()
        return {key: pods[key].observed for key in (pods if keys is None else keys) if key in pods}

    def know(self, launch_of: Callable[[str], Launch | None]) -> None:
        """Nothing is mended here: what belongs to a process ends with it."""

    async def launch(self, pod: Launch) -> None:
        """Start a pod that is not running; nothing happens if this generation was started before."""
        template = self._templates.get(pod.template)
        if template is None:
            raise RuntimeFailure(f"there is no template {pod.template!r}; there are {', '.join(self._templates)}")
        try:
            known = self._pods().get(pod.key) or self._make(pod.key)
            async with known.busy:
                if not _was_started(known, pod.generation):
                    await self._try_launch(pod, template, known)
        except (OSError, InvalidParameter) as error:
            raise RuntimeFailure(f"{pod.name} could not be started: {error}") from error

    async def stop(self, key: str, grace: float) -> None:
        """Ask a pod to end; its shim sees to the rest. What has ended already stays as it is."""
        pod = self._pods().get(key)
        if pod is None:
            return
        async with pod.busy:
            if pod.launched is not None and pod.directory.alive():
                _ask_to_end(pod.directory, pod.launched.generation, grace)
            self._look(pod)

    async def remove(self, key: str) -> None:
        """Delete all that an exited pod has here."""
        pod = self._pods().get(key)
        if pod is None:
            return
        async with pod.busy:
            if pod.directory.alive():
                raise RuntimeFailure("the pod still runs; stop it before it is removed")
            await self._end_leftovers(pod)
            doomed = self._directory / f"{_REMOVED}{key}"
            try:
                pod.directory.path.rename(doomed)
                self._pods().pop(key)
                await trio.to_thread.run_sync(remove_tree, doomed)
            except OSError as error:
                raise RuntimeFailure(f"the pod's directory {doomed} could not be removed: {error}") from error
            finally:
                self._changed.set()

    def logs(self, key: str, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Give the last `tail` lines a pod wrote, then, if told to follow, what it writes until it is removed."""
        return read_log(self._directory / key, tail, follow)

    def _pods(self) -> dict[str, Pod]:
        """Give the pods by key; at first, read what earlier lives left, and finish what they were deleting."""
        if self._known is None:
            self._known = {}
            self._directory.mkdir(parents=True, exist_ok=True)
            self._directory.chmod(0o711)
            for path in sorted(self._directory.iterdir()):
                if path.name.startswith(_REMOVED):
                    try:
                        remove_tree(path)
                    except OSError as error:  # it harms nobody but the disk
                        log.error("runtime: %s could not be removed: %s; remove it by hand", path, error)
                elif path.is_dir():
                    self._add(path)
            self._changed.set()
        return self._known

    def _make(self, key: str) -> Pod:
        path = self._directory / key
        path.mkdir(mode=0o711, exist_ok=True)
        self._changed.set()
        return self._add(path)

    def _add(self, path: Path) -> Pod:
        pod = self._pods()[path.name] = Pod(PodDirectory(path))
        if pod.launched is not None and not pod.directory.ended(pod.launched.generation):
            self._begin_watch(pod)  # also a dead shim's pod: something may be left of it
        return pod

    def _begin_watch(self, pod: Pod) -> None:
        pod.watched = pod.launched
        self._look(pod)
        self._unwatched.append(pod)
        self._to_watch.set()

    def _look(self, pod: Pod) -> None:
        """Read what is, and let everybody know if it is something new; exited is who left nobody behind."""
        seen = pod.directory.observe(pod.launched)
        if seen.stage is Stage.EXITED and pod.watched is not None:
            seen = replace(seen, stage=Stage.STOPPING, message="what it left behind is being ended")
        if seen != pod.observed:
            pod.observed = seen
            self._changed.set()

    async def _watch(self, pod: Pod) -> None:
        """Follow one launch of a pod to its end."""
        launched = pod.watched
        if launched is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._await_ready, pod, launched)
            await _shim_gone(pod, launched)
            nursery.cancel_scope.cancel()
        async with pod.busy:  # a new launch may have come first: then this one's end was seen to
            if pod.watched is launched:
                await self._end_leftovers(pod)
                pod.watched = None
                self._look(pod)

    async def _await_ready(self, pod: Pod, launched: Launched) -> None:
        if pod.directory.observe(launched).stage is not Stage.STARTING:
            return
        await until_ready(launched.checks, launched.user)
        while True:
            if _wrote(pod.directory, "ready.json", launched.generation):
                self._look(pod)
                return
            await trio.sleep(_FULL_DISK_INTERVAL)

    async def _end_leftovers(self, pod: Pod) -> None:
        if pod.launched is not None and not pod.directory.alive():
            await end_leftovers(pod.launched.user, pod.directory.run)

    async def _variables(self, template: Template, pod: Launch) -> dict[str, str]:
        """Find the software a pod needs, and prepare what its template prepares once for all pods."""
        check_reachable(self._home)
        needed = [need.name for need in template.software if not pod.parameters.get(need.unless)]
        variables = await self._cache.software(needed)
        if template.cache:
            variables["POD_CACHE"] = str(await self._cache.prepared(template.directory / template.cache, variables))
        return variables

    async def _try_launch(self, pod: Launch, template: Template, known: Pod) -> None:
        try:
            await self._launch(pod, template, known, await self._variables(template, pod))
        except RuntimeFailure as failure:
            known.directory.write_log(failure.output + f"podgate: {failure}\n".encode())
            raise

    async def _launch(self, pod: Launch, template: Template, known: Pod, variables: Mapping[str, str]) -> None:
        lock = known.directory.lock()
        if lock is None:
            raise RuntimeFailure(f"{pod.name} still runs; it is started anew when it has ended")
        try:
            await pod.confirm()
            if _was_started_by_another(known, pod.generation):
                return
            if known.launched is not None:
                await end_leftovers(known.launched.user, known.directory.run)
            if known.directory.run.exists():  # in a thread: it may hold millions of files
                await trio.to_thread.run_sync(remove_tree, known.directory.run)
            spec = self._set_out(pod, template, known, variables, lock)
            with trio.CancelScope(shield=True):
                await _start_shim(pod.name, spec, lock)
            known.watched = known.launched
        finally:
            os.close(lock)
            self._look(known)
        self._begin_watch(known)

    def _set_out(
        self, pod: Launch, template: Template, known: Pod, variables: Mapping[str, str], lock: int
    ) -> dict[str, object]:
        """Make the directories, choose the ports, write the record and give what the shim is to be told."""
        directory = known.directory
        user = user_of(self._home, pod.number)
        if user is not None and known.launched is not None and known.launched.user is not None:
            user = known.launched.user  # as its data's owner it stays, wherever the home was moved
        elif user is not None:  # a lost or restored store counts anew: never two pods with one user
            others = {pod.launched.user for pod in self._pods().values() if pod.launched is not None}
            while user in others:
                user += 1
        placed = place(template, directory, self._taken_ports())
        env = environment(pod, template, directory, placed, variables)
        directory.make(user)
        copy_template(template, directory.template)
        ports = tuple(placed.ports.values())
        upstreams = dict(placed.upstreams)
        known.launched = Launched(pod.generation, pod.number, time.time(), user, ports, upstreams, placed.checks)
        directory.write_launched(known.launched)
        return shim_spec(pod, template, directory, env, user, lock)

    def _taken_ports(self) -> set[int]:
        """Give the ports of pods that may not yet listen on them."""
        running = (pod.launched for pod in self._pods().values() if pod.observed.stage is not Stage.EXITED)
        return {port for launched in running if launched is not None for port in launched.ports}


def _was_started(pod: Pod, generation: int) -> bool:
    """Tell whether this generation or a later one was started: then the call is a repetition, or late."""
    return (
        pod.launched is not None
        and pod.launched.generation >= generation
        and pod.directory.started(pod.launched.generation)
    )


def _was_started_by_another(pod: Pod, generation: int) -> bool:
    """Look again, for whoever holds the lock: a replica of the controller may have started it, and it ended."""
    found = pod.directory.launched()
    if found == pod.launched:
        return False
    pod.launched = found
    return _was_started(pod, generation)


async def _start_shim(name: str, spec: Mapping[str, object], lock: int) -> None:
    """Start the shim and wait until it has written its record. Raises RuntimeFailure."""
    command = [sys.executable, "-I", "-S", shim.__file__]
    result = await trio.run_process(
        command,
        stdin=json.dumps(spec).encode(),
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        pass_fds=[lock],
        env={"PATH": os.defpath},
        cwd="/",
    )
    if result.returncode != 0:
        lines = result.stdout.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RuntimeFailure(f"{name} could not be started: its shim failed: {lines[-1]}")


async def _shim_gone(pod: Pod, launched: Launched) -> None:
    """Wait until the shim of this launch has ended."""
    while pod.launched is launched and pod.directory.alive():
        with opened(pod.directory.shim(launched.generation)) as descriptor:
            if descriptor is None:  # not yet written: the controller died while it started this one
                await trio.sleep(_STARTING_INTERVAL)
            else:
                await trio.lowlevel.wait_readable(descriptor)


def _ask_to_end(directory: PodDirectory, generation: int, grace: float) -> None:
    """Write first, then signal: a shim that does not yet heed signals looks for the record when it does."""
    _wrote(directory, "stop.json", generation, grace=grace)  # if it cannot be, the shim knows a usual grace
    with opened(directory.shim(generation)) as descriptor:
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)


def _wrote(directory: PodDirectory, name: str, generation: int, **content: object) -> bool:
    """Write a record; tell whether the disk took it."""
    try:
        directory.write(name, generation, at=time.time(), **content)
    except OSError:
        return False
    return True
