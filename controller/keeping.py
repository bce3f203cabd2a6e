"""Keeping: that the passwords of a pod's users are those we know, and how they become others without downtime.

A rotation is: store the new passwords as pending, which publishes logins with both; wait until every live gateway has
those; set them in the database; store them as the passwords, which publishes them alone. Whatever kills us in between,
what is pending is stored, and the next life goes on from there: each step may be done twice.

PostgreSQL lets every role change its own password and settings, and all who hold a level share a role. So what the
levels below the owner's use is set right every minute, and every second where somebody changes it again; who goes on
loses all sessions of the level. The owner's password, which is the owner's to change in a pod that is public, is set by
a rotation only. So is what a level may do with what the owner makes later, which any of a level can take from it: an
owner who has changed that on purpose keeps it until then.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import trio

from controller.feed import Feed
from controller.identity import Conflict, Entry
from controller.model import Phase, Pod, Want
from controller.names import new_secret
from controller.pods import Pods
from controller.pulse import Pulse
from controller.rolekeeper import KeepFailed, Kept, RoleKeeper, Stalled
from controller.runtimes import Runtime
from controller.store.database import StoreFailure
from controller.templates import KEEPER, Template
from router.access import AccessLevel

KEEP_EVERY = 60.0  # seconds
LOOK_AGAIN_AFTER = 1.0  # seconds after something had to be set right; then ever later
SUFFERED = 2  # times that something has to be set right before sessions are ended
TRY_AGAIN_AFTER = 5.0  # seconds after something failed; ever later unless passwords are pending and the pod answers
GATEWAYS_LIMIT = 15.0  # seconds that gateways have to take what is published
ROTATION_LIMIT = 30.0  # seconds that who asked for a rotation waits for it

log = logging.getLogger(__name__)


class RotationFailed(Exception):
    """A rotation is not done yet, for this reason; it goes on by itself."""


class Keeper(Protocol):
    """What sets the passwords of a pod's users; `controller.rolekeeper` does, tests may do otherwise."""

    async def keep(
        self, pod: Pod, template: Template, address: str, passwords: Mapping[str, str], repeated: Collection[str] = ()
    ) -> Kept:
        """Set passwords by level; end the sessions of `repeated` levels if any was another. Raises KeepFailed."""

    async def restore(self, pod: Pod, template: Template, address: str, password: str) -> None:
        """Give the levels what the owner, who has this password, makes from now on. Raises KeepFailed."""


@dataclass
class _Watch:
    """How closely a pod is watched."""

    kept_before: bool = False  # its passwords were once seen to be as we know them
    calm: float = KEEP_EVERY  # seconds until it is looked at again if nothing fails
    trouble: float = 0.0  # seconds until it is tried again after it failed; 0 if it did not
    wrong: Counter[str] = field(default_factory=Counter)  # by level: turns that set something right in a row

    @property
    def repeated(self) -> frozenset[str]:
        return frozenset(level for level, times in self.wrong.items() if times >= SUFFERED)

    def saw(self, changed: Collection[str]) -> None:
        """Look again soon where something was wrong, then ever later; what was is forgotten after a quiet minute."""
        if changed and self.kept_before:  # at first passwords are as the pod has made them
            self.calm = LOOK_AGAIN_AFTER
            self.wrong.update(changed)
            return
        if self.calm >= KEEP_EVERY:
            self.wrong.clear()
        self.calm = min(self.calm * 2, KEEP_EVERY)

    def failed(self, soon: bool) -> None:
        self.trouble = TRY_AGAIN_AFTER if soon else min(max(self.trouble * 2, TRY_AGAIN_AFTER), KEEP_EVERY)


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
        """Keep until cancelled. Only pods of which something else is known are looked at: there may be thousands."""
        self._wakes.clear()  # of an earlier term
        news = {pod.key for pod in self._pods}
        self._pods.known = news.add
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    while news:
                        key = news.pop()
                        if key not in self._wakes and self._kept(key) is not None:
                            self._wakes[key] = trio.Event()
                            nursery.start_soon(self._tend, key)
                    await self._changed.wait()
        finally:
            self._pods.known = lambda _key: None

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
        self.wake(key)
        with trio.move_on_after(ROTATION_LIMIT):
            return await self._rotated(key)
        raise RotationFailed("it takes longer than usual")

    def wake(self, key: str) -> None:
        """See to a pod now: other passwords are wanted for it."""
        self._failures.pop(key, None)
        if key in self._wakes:
            self._wakes[key].set()

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
        watch = _Watch()
        while found := self._kept(key):
            self._wakes[key] = wake = trio.Event()
            try:
                await self._turn(*found, watch)
                watch.trouble = 0.0
            except (KeepFailed, StoreFailure) as failure:
                watch.failed(soon=bool(found[0].pending) and not isinstance(failure, Stalled))
                self._fail(found[0], str(failure))
            except Exception:
                log.exception("pod %s: its passwords cannot be kept", key)
                watch.failed(soon=False)
                self._fail(found[0], "unexpected failure; the controller's log tells more")
            pod = self._pods.get(key)
            usual = TRY_AGAIN_AFTER if pod and pod.pending else watch.calm
            with trio.move_on_after(watch.trouble or usual):
                await wake.wait()
        del self._wakes[key]

    async def _turn(self, pod: Pod, template: Template, watch: _Watch) -> None:
        address = (await self._runtime.observe([pod.key]))[pod.key].upstreams.get("", "")
        levels = {each.level for each in template.credentials}
        if pod.pending:
            await self._renew(pod, template, address, levels)
        else:
            wanted = {level: pod.secrets[level] for level in levels & pod.secrets.keys() - {str(AccessLevel.OWNER)}}
            kept = await self._keeper.keep(pod, template, address, wanted, watch.repeated)
            _tell(pod, kept, watch)
            watch.saw(kept.changed)
        watch.kept_before = True
        self._failures.pop(pod.key, None)

    async def _renew(self, pod: Pod, template: Template, address: str, levels: Collection[str]) -> None:
        """Do what is left of a rotation."""
        await self._published(pod.key)
        secrets = {**pod.secrets, **pod.pending}
        passwords = {level: secret for level, secret in secrets.items() if level in levels}
        await self._keeper.keep(pod, template, address, passwords)
        if owner := passwords.get(str(AccessLevel.OWNER)):
            try:
                await self._keeper.restore(pod, template, address, owner)
            except KeepFailed as failure:  # the owner may have made it so, and the passwords are new all the same
                log.warning("pod %s: what its levels may do was not set right: %s", pod.key, failure)
        done = pod.pending
        await self._pods.set_secrets(pod.key, lambda now: _taken_over(now, done), "rotated", as_leader=True)
        log.info("pod %s: its passwords are new", pod.key)

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


def _tell(pod: Pod, kept: Kept, watch: _Watch) -> None:
    """Log what somebody did to the pod's users, and who may have been it."""
    if repeated := kept.changed & watch.repeated:
        names = ", ".join(map(repr, kept.ended)) or "none that has a name"
        text = (
            "pod %s: somebody changes the password or settings of its users again and again; "
            "all sessions of these levels were ended: %s; among them: %s"
        )
        log.warning(text, pod.key, ", ".join(sorted(repeated)), names)
    elif kept.changed and watch.kept_before:
        log.warning("pod %s: somebody had changed the password or settings of its users; set right", pod.key)


def _completed(made: Mapping[str, str], pod: Pod) -> Pod:
    """Give the pod with secrets it lacked."""
    return replace(pod, secrets={**made, **pod.secrets})


def _taken_over(pod: Pod, done: Mapping[str, str]) -> Pod:
    """Give the pod with the passwords that its database has now."""
    left = {level: secret for level, secret in pod.pending.items() if done.get(level) != secret}
    return replace(pod, secrets={**pod.secrets, **done}, pending=left)
