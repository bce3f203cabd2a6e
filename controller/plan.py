"""What to do next about one pod: pure, decided from what is wanted and what is seen, never from what happened before.

A pod that ends by itself is started again: at once the first time, then after 1, 2, 4 … 60 seconds. The count is
forgotten when the pod has been ready for a minute, or when its owner starts, stops or restarts it. A pod that ended
three times in a row, the last time without having become ready, is shown as failed; it is still tried again, at the
same pace, and stays `failed` until it is ready, so that nobody sees it flicker.

A pod that ended by itself gets a new generation: that is how its end is counted once, and how a runtime can tell a
new start from a start it has seen to. A generation seen that is later than the known one is one whose note was lost
with a controller's life, and is taken over.

`now` is the wall clock, because the end of a wait must survive the controller. A clock that jumps can make a wait at
most as long as the back-off itself.
"""

from dataclasses import dataclass, replace
from enum import Enum

from controller.model import Event, Phase, Pod, Status, Want
from controller.runtimes import Observed, Stage

LONGEST_WAIT = 60.0  # seconds between two attempts
CALM = 60.0  # seconds of being ready after which earlier failures are forgotten
FAILURES_TO_GIVE_UP_HOPE = 3
LONGEST_MESSAGE = 2000  # characters of what a runtime tells about a pod


class Action(Enum):
    """What a runtime (or, to forget, the store) is to do about a pod."""

    LAUNCH = "launch"
    STOP = "stop"
    REMOVE = "remove"
    FORGET = "forget"  # nothing of it is left in the runtime: its row goes


@dataclass(frozen=True, slots=True)
class Step:
    """The answer of the plan: what to report, what to do now, and when to ask again though nothing changed."""

    status: Status
    generation: int
    action: Action | None = None
    again_in: float | None = None  # seconds


def plan(pod: Pod, seen: Observed | None, now: float) -> Step:
    """Decide the next step towards what is wanted of `pod`, given what its runtime sees of it (None: nothing)."""
    if seen is not None and seen.generation > pod.generation:
        pod = replace(pod, generation=seen.generation)
    if seen is not None and seen.stage is Stage.STOPPING:
        return Step(_entered(pod.status, Phase.STOPPING, seen.message, now), pod.generation)
    if pod.want is not Want.ON:
        return _bring_down(pod, seen, now)
    if seen is None or seen.stage is Stage.EXITED:
        return _start(pod, seen, now)
    if seen.generation != pod.generation:
        status = _entered(pod.status, Phase.STOPPING, "it is started anew", now)
        return _when_due(status, pod.generation, Action.STOP, now)
    if seen.stage is Stage.READY:
        return _enjoy(pod, seen, now)
    if pod.status.phase is Phase.FAILED:
        return Step(pod.status, pod.generation)
    return Step(_entered(pod.status, Phase.STARTING, seen.message, now), pod.generation)


def failed(pod: Pod, reason: str, now: float) -> Status:
    """Give the status after an action failed: the reason is shown, and the next attempt is put off."""
    status = pod.status
    failures = status.failures + 1
    hopeless = pod.want is Want.ON and failures >= FAILURES_TO_GIVE_UP_HOPE
    phase = Phase.FAILED if hopeless else status.phase
    status = replace(status, failures=failures, retry_at=now + wait_after(failures))
    return _entered(status, phase, reason, now)


def wait_after(failures: int) -> float:
    """Tell how long to wait, in seconds, after so many failures in a row."""
    return 0.0 if failures < 2 else min(2.0 ** min(failures - 2, 16), LONGEST_WAIT)


def events_between(before: Status, after: Status, now: float) -> list[Event]:
    """Tell what is worth remembering about the way from one status to the next."""
    events = []
    if after.restarts > before.restarts:
        events.append(Event(now, "exited", after.message))
    elif after.failures > before.failures:
        events.append(Event(now, "problem", after.message))
    if after.phase is not before.phase:
        events.append(Event(now, str(after.phase), after.message))
    return events


def _bring_down(pod: Pod, seen: Observed | None, now: float) -> Step:
    if seen is not None and seen.stage is not Stage.EXITED:
        action = Action.STOP
    elif pod.want is Want.OFF:
        return Step(_entered(pod.status, Phase.STOPPED, "", now), pod.generation)
    else:
        action = Action.FORGET if seen is None else Action.REMOVE
    message = pod.status.message if pod.status.failures else ""
    return _when_due(_entered(pod.status, Phase.STOPPING, message, now), pod.generation, action, now)


def _start(pod: Pod, seen: Observed | None, now: float) -> Step:
    status, generation = pod.status, pod.generation
    if seen is not None and seen.generation == generation:
        status, generation = _after_exit(status, seen, now), generation + 1
    if status.phase is not Phase.FAILED:
        status = _entered(status, Phase.STARTING, status.message if status.failures else "", now)
    return _when_due(status, generation, Action.LAUNCH, now)


def _after_exit(status: Status, seen: Observed, now: float) -> Status:
    failures = status.failures + 1
    hopeless = failures >= FAILURES_TO_GIVE_UP_HOPE and status.phase is not Phase.AVAILABLE
    phase = Phase.FAILED if hopeless else Phase.STARTING
    counted = replace(
        status,
        restarts=status.restarts + 1,
        failures=failures,
        retry_at=now + wait_after(failures),
    )
    return _entered(counted, phase, seen.message or "it ended by itself", now)


def _enjoy(pod: Pod, seen: Observed, now: float) -> Step:
    status = pod.status
    calm_in = min(seen.since + CALM - now, CALM)
    if status.failures and calm_in <= 0:
        status = replace(status, failures=0)
    status = replace(status, phase=Phase.AVAILABLE, message=_bounded(seen.message), since=seen.since, retry_at=0.0)
    return Step(status, pod.generation, again_in=calm_in if status.failures else None)


def _when_due(status: Status, generation: int, action: Action, now: float) -> Step:
    """Act, or wait for the end of the back-off; an end further off than the back-off itself is a clock that jumped."""
    longest = wait_after(status.failures)
    wait = status.retry_at - now
    if wait > longest:
        wait = longest
        status = replace(status, retry_at=now + longest)
    return Step(status, generation, again_in=wait) if wait > 0 else Step(status, generation, action)


def _entered(status: Status, phase: Phase, message: str, now: float) -> Status:
    since = status.since if phase is status.phase else now
    return replace(status, phase=phase, message=_bounded(message), since=since)


def _bounded(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"
