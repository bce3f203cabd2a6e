"""Seeing: from what the cluster says of a pod to `Observed`, with failures told as its owner needs them. Pure.

Stages, by what is there (StatefulSet, Kubernetes pod):

    wanted, no pod yet            STARTING    and why none could be made, if the cluster says so
    pod, not ready                STARTING    and what it waits for, or how it ended the last time
    pod, ready                    READY
    pod, container in back-off    EXITED      no process is left, until the reconciler starts it anew
    pod, being deleted            STOPPING    so is one that is not wanted any more
    not wanted, no pod            EXITED      stopped
    only a volume, a Service …    EXITED, and what is left; nothing to tell of where nothing is
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controller.runtimes import Observed, Stage
from controller.runtimes.kubernetes.manifests import GENERATION, HOST, STOPPED, UPSTREAMS

JSON = Mapping[str, Any]

LONGEST_REASON = 400  # characters of what the cluster says
_BACK_OFF = "CrashLoopBackOff"
_OVER = {"Failed", "Succeeded"}  # phases without a process
_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
             "ImageInspectError", "SignatureValidationFailed"}  # fmt: skip
_ORDINARY = {"", "ContainerCreating", "PodInitializing", _BACK_OFF}


def see(
    stateful_set: JSON | None,
    pod: JSON | None,
    claim: JSON | None,
    warnings: Iterable[JSON] = (),
    left: Sequence[str] = (),
) -> Observed | None:
    """Tell what there is of a pod; None if nothing is. `left` are kinds of other objects that are there."""
    if stateful_set is None:
        return _remains(pod, claim, left)
    if pod is None:
        return _without_pod(stateful_set, warnings)
    generation = generation_of(pod)
    if is_going(pod) or is_going(stateful_set) or not is_wanted(stateful_set):
        return Observed(Stage.STOPPING, generation, _asked_to_end(pod))
    if in_back_off(pod):
        return Observed(Stage.EXITED, generation, _ended(pod), message=_last_end(pod) or "it ended again and again")
    ready = _condition(pod, "Ready")
    upstreams = _upstreams(pod)
    if ready.get("status") == "True" and upstreams is not None:
        return Observed(Stage.READY, generation, seconds(ready.get("lastTransitionTime")), upstreams)
    return Observed(Stage.STARTING, generation, _made(pod), message=_trouble(pod, warnings))


def generation_of(thing: JSON) -> int:
    """Give the generation an object was made for; 0 if it says none."""
    text = thing["metadata"].get("annotations", {}).get(GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def is_going(thing: JSON) -> bool:
    """Tell whether an object is being deleted."""
    return bool(thing["metadata"].get("deletionTimestamp"))


def is_wanted(stateful_set: JSON) -> bool:
    """Tell whether a StatefulSet is to have its pod."""
    return int(stateful_set.get("spec", {}).get("replicas", 1)) > 0


def is_over(pod: JSON) -> bool:
    """Tell whether no process of a Kubernetes pod is left, though it is there."""
    return in_back_off(pod) or pod.get("status", {}).get("phase") in _OVER


def in_back_off(pod: JSON) -> bool:
    """Tell whether the kubelet waits before it starts a container again that ended by itself."""
    return any(_waiting(status).get("reason") == _BACK_OFF for status in _containers(pod))


def seconds(text: str | None) -> float:
    """Read a time as the API writes it; 0 if there is none."""
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return 0.0


def _remains(pod: JSON | None, claim: JSON | None, left: Sequence[str]) -> Observed | None:
    """Tell what is left of a pod without a StatefulSet."""
    if pod is not None:
        return Observed(Stage.STOPPING, generation_of(pod), _asked_to_end(pod), message="its StatefulSet is gone")
    if claim is not None:
        return Observed(Stage.EXITED, 0, _made(claim), message="only its volume is left")
    return Observed(Stage.EXITED, 0, 0.0, message=f"only its {' and '.join(left)} is left") if left else None


def _without_pod(stateful_set: JSON, warnings: Iterable[JSON]) -> Observed:
    generation = generation_of(stateful_set)
    if is_going(stateful_set):
        return Observed(Stage.EXITED, generation, _made(stateful_set), message="it is being removed")
    if is_wanted(stateful_set):
        return Observed(Stage.STARTING, generation, _made(stateful_set), message=_newest(warnings))
    stopped = stateful_set["metadata"].get("annotations", {}).get(STOPPED, "")
    try:
        since = float(stopped)
    except ValueError:
        since = _made(stateful_set)
    return Observed(Stage.EXITED, generation, since, message="stopped" if generation else "it was never started")


def _trouble(pod: JSON, warnings: Iterable[JSON]) -> str:
    """Say what a pod that is not ready waits for; empty where it is only the usual."""
    status = pod.get("status", {})
    if status.get("phase") in _OVER:
        reason = status.get("reason") or "Failed"
        said = _bounded(status.get("message", ""))
        return f"{_words(reason)}{': ' if said else ''}{said}; it is started again elsewhere"
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"no machine can take it: {_bounded(scheduled.get('message', ''))}"
    for container in _containers(pod):
        if text := _hindrance(container):
            return text
    if status.get("reason") == "NodeLost" or _condition(pod, "Ready").get("status") == "Unknown":
        return "its machine does not answer"
    end = _last_end(pod)
    return f"{end}; it was started again" if end else _newest(warnings, pod["metadata"].get("uid"))


def _hindrance(container: JSON) -> str:
    """Say why a container cannot be started."""
    waiting = _waiting(container)
    reason, said = waiting.get("reason", ""), _bounded(waiting.get("message", ""))
    if reason in _NO_IMAGE:
        return f"its image {container.get('image', '')} cannot be had: {said or _words(reason)}"
    if reason in _ORDINARY:
        return ""
    if "runAsNonRoot" in said or "non-root" in said:
        return f"its image wants to run as root, which is not allowed; give it another user: {said}"
    return f"it cannot be started: {said or _words(reason)}"


def _last_end(pod: JSON) -> str:
    """Say how the last container that ended did; the words are those of the process runtime."""
    ends = [end for status in _containers(pod) if (end := _end(status))]
    if not ends:
        return ""
    end = max(ends, key=lambda each: seconds(each.get("finishedAt")))
    lines = [line.strip() for line in str(end.get("message") or "").splitlines() if line.strip()]
    code = int(end.get("exitCode", 0))
    if end.get("reason") == "OOMKilled":
        return "it used more memory than it may; give it more with --parameter ram=, or have it use less"
    if code > 128 and (end.get("signal") or code in (128 + 9, 128 + 15, 128 + 6, 128 + 11)):
        text = f"killed by signal {end.get('signal') or code - 128}"
    else:
        text = f"exit status {code}"
    return f"{text}: {_bounded(lines[-1])}" if lines else text


def _end(status: JSON) -> JSON | None:
    """Give how a container ended last, if it did otherwise than a step that did its work."""
    now, before = (status.get(each, {}).get("terminated") for each in ("state", "lastState"))
    done = now is not None and int(now.get("exitCode", 0)) == 0 and status.get("ready")
    found = before if now is None or done else now
    return found if isinstance(found, Mapping) else None


def _ended(pod: JSON) -> float:
    return max((seconds(end.get("finishedAt")) for each in _containers(pod) if (end := _end(each))), default=0.0)


def _newest(warnings: Iterable[JSON], uid: str | None = None) -> str:
    """Give what the newest warning says; of the object of this uid, if one is given, or of its claim."""
    fitting = [
        each for each in warnings
        if uid is None or each["involvedObject"].get("kind") != "Pod" or each["involvedObject"].get("uid") == uid
    ]  # fmt: skip
    newest = max(fitting, key=_told_at, default=None)
    return _bounded(str(newest.get("message", ""))) if newest is not None else ""


def _told_at(event: JSON) -> float:
    series = (event.get("series") or {}).get("lastObservedTime")
    return seconds(series or event.get("lastTimestamp") or event.get("eventTime"))


def _upstreams(pod: JSON) -> dict[str, str] | None:
    """Give the addresses of a pod's endpoints; None before it has one."""
    facts = pod["metadata"].get("annotations", {})
    host = facts.get(HOST) or pod.get("status", {}).get("podIP", "")
    try:
        ports = json.loads(facts.get(UPSTREAMS, ""))
    except ValueError:  # somebody changed it by hand
        return None
    if not host or not isinstance(ports, dict) or not all(type(port) is int for port in ports.values()):
        return None
    shown = f"[{host}]" if ":" in host else host
    return {name: f"{shown}:{port}" for name, port in ports.items()}


def _containers(pod: JSON) -> list[JSON]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _waiting(container: JSON) -> JSON:
    return container.get("state", {}).get("waiting") or {}


def _condition(pod: JSON, kind: str) -> JSON:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def _made(thing: JSON) -> float:
    return seconds(thing["metadata"].get("creationTimestamp"))


def _asked_to_end(pod: JSON) -> float:
    """Give when it was told to end: what the API calls deletionTimestamp is when the grace is over."""
    metadata = pod["metadata"]
    over = seconds(metadata.get("deletionTimestamp"))
    return over - float(metadata.get("deletionGracePeriodSeconds") or 0) if over else _made(pod)


def _words(reason: str) -> str:
    """Write `ErrImagePull` as `err image pull`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in reason).strip()


def _bounded(text: str) -> str:
    line = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"
