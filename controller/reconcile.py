"""Making what is seen what is wanted: look, plan, publish, act, for each pod by itself.

`Reconciler.settle` is the short way: from a fresh look to the published route without an await, so that a pod that
became ready is routable within milliseconds. One task for each pod (`_tend`) does what takes time: the runtime's
actions, the back-off, the store. A pod whose action hangs or fails therefore holds up no other, and no pod has two
actions at once. Nothing is remembered that cannot be seen again, except the count of failures.
"""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping

import trio

from controller.feed import Feed
from controller.model import Event, Pod
from controller.plan import Action, Step, events_between, failed, plan
from controller.pods import Pods
from controller.publish import routes_of
from controller.runtimes import Launch, Observed, Runtime, RuntimeFailure, Stage
from controller.store.database import StoreFailure
from controller.templates import Template

ACTION_LIMIT = 60.0  # seconds an action of the runtime may take: it only begins the work
STOP_GRACE = 30.0  # seconds from asking a pod to end to ending it: a database may have a checkpoint to write
REPEAT_AFTER = 1.0  # seconds before an action without effect is done again
SAVE_AGAIN_AFTER = 5.0  # seconds before a status the store did not take is offered to it again
LOOK_AGAIN_AFTER = 1.0  # seconds after the runtime failed to answer

log = logging.getLogger(__name__)


class Reconciler:
    """Tends all pods, one task each."""

    def __init__(
        self,
        pods: Pods,
        runtime: Runtime,
        feed: Feed | None,
        templates: Mapping[str, Template],
        domain: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._pods = pods
        self._runtime = runtime
        self._feed = feed
        self._templates = templates
        self._domain = domain
        self._now = now
        self._seen: dict[str, Observed] = {}
        self._launching: dict[str, tuple[int, Observed | None]] = {}  # key: generation, what was seen when it began
        self._looking = trio.Lock()  # an older look must not replace a newer one
        self._wakes: dict[str, trio.Event] = {}
        self._unsaved: dict[str, list[Event]] = {}
        self._strangers: set[str] = set()
        runtime.know(self._launch_of)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tend the pods until cancelled; started when the first look is published."""
        async with trio.open_nursery() as nursery:
            self._tending = nursery
            await self._look()
            self._pods.touched = self._touch
            if self._feed is not None:
                self._pods.shared = self._publish
            for pod in self._pods:
                self._touch(pod.key)
            task_status.started()
            await self._watch()

    def settle(self, key: str) -> Step:
        """Plan for one pod; know and publish what that says of it."""
        pod = self._pods.get(key)
        if pod is None:
            raise KeyError(key)
        seen = self._sight(pod)
        step = plan(pod, seen, self._now())
        self._note(pod, step, seen.upstreams if seen else {})
        self._publish(key)
        return step

    def _publish(self, key: str) -> None:
        """Publish the routes of a pod by what is known and seen of it; nothing is done to it. Replicas publish what is
        stored instead, each for itself.
        """
        pod = self._pods.get(key)
        if pod is not None and self._feed is not None:
            template = self._templates.get(pod.template)
            self._feed.put(key, routes_of(pod, self._sight(pod), template, self._domain))

    def _sight(self, pod: Pod) -> Observed | None:
        """Give what is seen of a pod; one that is being launched is starting, as long as nothing newer is seen."""
        seen = self._seen.get(pod.key)
        generation, before = self._launching.get(pod.key, (0, None))
        return Observed(Stage.STARTING, generation, self._now()) if generation and before == seen else seen

    def _note(self, pod: Pod, step: Step, upstreams: Mapping[str, str]) -> None:
        if (step.status, step.generation, upstreams) == (pod.status, pod.generation, pod.upstreams):
            return
        events = events_between(pod.status, step.status, self._now())
        for event in events:
            log.info("pod %s: %s%s", pod.key, event.kind, f": {event.message}" if event.message else "")
        self._unsaved.setdefault(pod.key, []).extend(events)
        self._pods.note(pod.key, step.status, step.generation, dict(upstreams))

    def _touch(self, key: str) -> None:
        """See to a pod of which something new is wanted or seen."""
        self.settle(key)
        if key in self._wakes:
            self._wakes[key].set()
        else:
            self._wakes[key] = trio.Event()
            self._tending.start_soon(self._tend, key)

    async def _watch(self) -> None:
        missed = False  # what a look failed to see is not told again
        while True:
            keys = await self._runtime.changed()
            try:
                await self._look(None if missed else keys)
                missed = False
            except Exception:
                missed = True
                log.exception("the runtime does not tell what it sees; asking again")
                await trio.sleep(LOOK_AGAIN_AFTER)

    async def _look(self, keys: Collection[str] | None = None) -> None:
        """Look at some pods, or at all there are, and see to those of which something else is seen."""
        async with self._looking:
            seen = await self._runtime.observe(keys)
            looked_at = [*seen, *(key for key in self._seen if key not in seen)] if keys is None else keys
            changed = [key for key in looked_at if seen.get(key) != self._seen.get(key)]
            for key in changed:
                if key in seen:
                    self._seen[key] = seen[key]
                else:
                    del self._seen[key]
            for key in changed:
                self._notice(key)

    def _notice(self, key: str) -> None:
        if key in self._wakes:
            self._touch(key)
        elif self._pods.get(key) is None and key in self._seen and key not in self._strangers:
            self._strangers.add(key)
            log.warning("runtime: %s belongs to no pod in the store; it is left alone (podgate orphans)", key)

    async def _tend(self, key: str) -> None:
        done: tuple[Action, Observed | None] | None = None
        refused = False
        while self._pods.get(key) is not None:
            self._wakes[key] = wake = trio.Event()
            step = self.settle(key)
            if key in self._unsaved and not refused:
                refused = not await self._save(key)
                continue
            attempt = (step.action, self._seen.get(key)) if step.action else None
            if step.action and attempt != done:
                done = attempt if await self._attempt(key, step.action) else None
                continue
            with trio.move_on_after(self._pause(key, step)):
                await wake.wait()
            done, refused = None, False
        del self._wakes[key]

    def _pause(self, key: str, step: Step) -> float:
        pause = math.inf if step.again_in is None else step.again_in
        if step.action:
            pause = min(pause, REPEAT_AFTER)
        return min(pause, SAVE_AGAIN_AFTER) if key in self._unsaved else pause

    async def _save(self, key: str) -> bool:
        events = self._unsaved.pop(key)
        try:
            await self._pods.save(key, events)
        except StoreFailure as failure:
            log.error("pod %s: its status is not stored: %s", key, failure)
            self._unsaved.setdefault(key, [])
            return False
        return True

    async def _attempt(self, key: str, action: Action) -> bool:
        """Do one action; what goes wrong becomes the pod's message, and the next attempt is put off."""
        before = self._pods.get(key)
        try:
            with trio.fail_after(ACTION_LIMIT):
                await self._act(key, action)
            return True
        except (RuntimeFailure, StoreFailure) as failure:
            reason = str(failure)
        except trio.TooSlowError:
            reason = f"the runtime did not {action.value} it within {ACTION_LIMIT:g} seconds; it is tried again"
        except Exception:
            log.exception("pod %s: %s failed unexpectedly", key, action.value)
            reason = f"unexpected failure to {action.value} it; the controller's log tells more; it is tried again"
        pod = self._pods.get(key)
        if pod is not None and before is not None and pod.generation == before.generation:  # else it is counted
            self._note(pod, Step(failed(pod, reason, self._now()), pod.generation), pod.upstreams)
        return False

    async def _act(self, key: str, action: Action) -> None:
        """Do one action and look at what came of it, also when it failed."""
        pod = self._pods.get(key)
        if pod is None:
            return
        try:
            if action is Action.LAUNCH:
                await self._launch(pod)
            elif action is Action.STOP:
                await self._runtime.stop(key, STOP_GRACE)
            elif action is Action.REMOVE:
                await self._runtime.remove(key)
        finally:
            await self._look([key])
        if action is Action.FORGET and key not in self._seen:
            await self._pods.forget(key)
            if self._feed is not None:
                self._feed.put(key, ())
            log.info("pod %s: gone", key)

    def _launch_of(self, key: str) -> Launch | None:
        pod = self._pods.get(key)
        return None if pod is None else _order(pod)

    async def _launch(self, pod: Pod) -> None:
        self._launching[pod.key] = pod.generation, self._seen.get(pod.key)
        try:
            await self._runtime.launch(_order(pod))
        finally:
            del self._launching[pod.key]


def _order(pod: Pod) -> Launch:
    return Launch(
        key=pod.key,
        number=pod.number,
        name=pod.name,
        template=pod.template,
        generation=pod.generation,
        parameters=pod.parameters,
        env=pod.env,
        secrets=pod.secrets,
    )
