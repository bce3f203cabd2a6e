"""Keeping: that the passwords of a pod's users are those we know, and how they become others without downtime.

A rotation is: store the new passwords as pending, which publishes logins with both; wait until every live gateway has
those; set them in the database; store them as the passwords, which publishes them alone. Whatever kills us in between,
what is pending is stored, and the next life goes on from there: each step may be done twice.

PostgreSQL lets every role change its own password and settings, and all who hold a level share a role. So what the
levels below the owner's use is set right every minute; the owner's password, which is the owner's to change in a pod
that is public, by a rotation only.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from controller.feed import Feed
from controller.identity import Conflict, Entry
from controller.model import Phase, Pod, Want
from controller.names import new_secret
from controller.pods import Pods
from controller.pulse import Pulse
from controller.rolekeeper import KeepFailed, RoleKeeper
from controller.runtimes import Runtime
from controller.store.database import StoreFailure
from controller.templates import KEEPER, Template
from router.access import AccessLevel

KEEP_EVERY = 60.0  # seconds
TRY_AGAIN_AFTER = 5.0  # seconds after something failed while passwords are pending
GATEWAYS_LIMIT = 15.0  # seconds that gateways have to take what is published
ROTATION_LIMIT = 30.0  # seconds that who asked for a rotation waits for it

log = logging.getLogger(__name__)


class RotationFailed(Exception):
    """A rotation is not done yet, for this reason; it goes on by itself."""


class Keeper(Protocol):
    """What sets the passwords of a pod's users; `controller.rolekeeper` does, tests may do otherwise."""

    async def keep(self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str]) -> bool:
        """Set passwords by level; tell whether any was another. Raises KeepFailed."""


class Keeping:
    """Keeps the passwords of all pods whose template has a keeper, one task for each."""

    def __init__(
        self, pods: Pods, feed: Feed, runtime: Runtime, templates: Mapping[str, Template], changed: Pulse,
        keeper: Keeper | None = None,
    ) -> None:  # fmt: skip
        self._pods = pods
        self._feed = feed
        self._runtime = runtime
        self._templates = templates
        self._changed = changed
        self._keeper = keeper or RoleKeeper()
        self._wakes: dict[str, trio.Event] = {}
        self._kept_before: set[str] = set()  # keys of pods whose passwords were once seen to be as we know them
        self._failures: dict[str, str] = {}  # by the pod's key: why its last turn failed

    async def complete(self) -> None:
        """Make the secrets that pods of an earlier version lack. Raises StoreFailure."""
        for pod in self._pods:
            template = self._templates.get(pod.template)
            missing = [name for name in template.secrets if name not in pod.secrets] if template else []
            if missing:
                made = {name: new_secret() for name in missing}
                await self._pods.set_secrets(pod.key, partial(_completed, made))

    async def run(self) -> None:
        """Keep until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for pod in self._pods:
                    if pod.key not in self._wakes and self._kept(pod.key) is not None:
                        self._wakes[pod.key] = trio.Event()
                        nursery.start_soon(self._tend, pod.key)
                await self._changed.wait()

    async def rotate(
        self, key: str, check: Callable[[Pod], None] = lambda _pod: None, entries: Sequence[Entry] = ()
    ) -> Pod:
        """Give a pod's users other passwords, and see that the database has them. `check` sees whether that may be.

        Raises Conflict, RotationFailed, UnknownPod, StoreFailure and whatever `check` raises.
        """

        def begun(pod: Pod) -> Pod:
            check(pod)  # as it is now that nothing else can change it
            template = self._check(key)
            new = {each.level: new_secret() for each in template.credentials}
            return replace(pod, pending=pod.pending or new)  # what was begun before is finished instead

        await self._pods.set_secrets(key, begun, "rotate", entries)
        self._failures.pop(key, None)
        if key in self._wakes:
            self._wakes[key].set()
        with trio.move_on_after(ROTATION_LIMIT):
            return await self._rotated(key)
        raise RotationFailed("it takes longer than usual")

    async def _rotated(self, key: str) -> Pod:
        while True:
            pod = self._pods.get(key)
            if pod is None or pod.want is Want.DELETED:
                raise Conflict("the pod is gone")
            if not pod.pending:
                return pod
            if key in self._failures:
                raise RotationFailed(self._failures[key])
            await self._changed.wait()

    def _check(self, key: str) -> Template:
        pod = self._pods.get(key)
        template = self._templates.get(pod.template) if pod else None
        if pod is None or template is None or not template.keeper:
            raise Conflict("the passwords of this pod cannot be changed; make another pod")
        if self._kept(key) is None:
            raise Conflict(f"pod {pod.name!r} is {pod.status.phase}; start it first: podgate pod start {pod.name}")
        return template

    def _kept(self, key: str) -> tuple[Pod, Template] | None:
        pod = self._pods.get(key)
        template = self._templates.get(pod.template) if pod else None
        if pod is None or template is None or not template.keeper or KEEPER not in pod.secrets:
            return None
        return (pod, template) if pod.want is Want.ON and pod.status.phase is Phase.AVAILABLE else None

    async def _tend(self, key: str) -> None:
        """Take a turn now and then until the pod is not available any more."""
        while found := self._kept(key):
            self._wakes[key] = wake = trio.Event()
            try:
                await self._turn(*found)
            except (KeepFailed, StoreFailure) as failure:
                self._fail(found[0], str(failure))
            except Exception:
                log.exception("pod %s: its passwords cannot be kept", key)
                self._fail(found[0], "unexpected failure; the controller's log tells more")
            pod = self._pods.get(key)
            with trio.move_on_after(TRY_AGAIN_AFTER if pod and pod.pending else KEEP_EVERY):
                await wake.wait()
        del self._wakes[key]
        self._kept_before.discard(key)

    async def _turn(self, pod: Pod, template: Template) -> None:
        address = (await self._runtime.observe())[pod.key].upstreams.get("", "")
        if pod.pending:
            await self._published(pod.key)
            wanted = {**pod.secrets, **pod.pending}
        else:
            wanted = {level: secret for level, secret in pod.secrets.items() if level != str(AccessLevel.OWNER)}
        levels = {each.level for each in template.credentials}
        passwords = {level: secret for level, secret in wanted.items() if level in levels}
        changed = await self._keeper.keep(pod, template, address, passwords)
        if changed and not pod.pending and pod.key in self._kept_before:  # at first they are as the pod has made them
            log.warning("pod %s: somebody had changed the password or settings of its users; set right", pod.key)
        if pod.pending:
            done = pod.pending
            await self._pods.set_secrets(pod.key, lambda now: _taken_over(now, done), "rotated")
            log.info("pod %s: its passwords are new", pod.key)
        self._kept_before.add(pod.key)
        self._failures.pop(pod.key, None)

    async def _published(self, key: str) -> None:
        """Wait until every live gateway has the logins that are published."""
        with trio.move_on_after(GATEWAYS_LIMIT):
            while not self._feed.taken(key):
                await self._changed.wait()
            return
        raise KeepFailed("not every gateway has taken the new passwords yet; see: podgate status")

    def _fail(self, pod: Pod, reason: str) -> None:
        if self._failures.get(pod.key) != reason:
            log.warning("pod %s: its passwords cannot be kept: %s", pod.key, reason)
        self._failures[pod.key] = reason
        self._changed.beat()


def _completed(made: Mapping[str, str], pod: Pod) -> Pod:
    """Give the pod with secrets it lacked."""
    return replace(pod, secrets={**made, **pod.secrets})


def _taken_over(pod: Pod, done: Mapping[str, str]) -> Pod:
    """Give the pod with the passwords that its database has now."""
    left = {level: secret for level, secret in pod.pending.items() if done.get(level) != secret}
    return replace(pod, secrets={**pod.secrets, **done}, pending=left)
