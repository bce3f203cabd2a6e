"""Waiting until a pod is as a caller wishes, or cannot become so."""

from enum import StrEnum

from controller.api.access import visible
from controller.api.problems import Problem
from controller.control import Control
from controller.identity import Caller
from controller.model import Phase, Pod, Want
from controller.pods import UnknownPod


class Until(StrEnum):
    """What a caller may wait for."""

    ROUTED = "routed"
    STOPPED = "stopped"
    GONE = "gone"


class Gone(Exception):
    """There is no such pod any more, as wished."""


async def outcome(control: Control, caller: Caller, name: str, until: Until) -> Pod | Exception:
    """Wait until the pod that has the name now is as wished, or cannot become so; or cannot be seen any more."""
    first = visible(control, caller, name)
    while True:
        if control.ending.is_set():
            return Problem(503, "the controller is ending; ask again when it is back")
        pod = visible(control, caller, name) if first else None
        pod = pod if first and pod and pod.key == first.key else None
        if pod is None:
            return Gone() if until is Until.GONE else UnknownPod(name)
        if until is Until.ROUTED and control.routed(pod):
            return pod
        if until is Until.STOPPED and pod.want is Want.OFF and pod.status.phase is Phase.STOPPED:
            return pod
        if until is Until.ROUTED and pod.status.phase is Phase.FAILED:
            return Problem(409, f"pod {name!r} failed: {pod.status.message}")
        await control.changed.wait()


def not_yet(pod: Pod | None, name: str, until: Until) -> str:
    """Say how a pod is, to somebody whose time to wait is over."""
    if pod is None:
        return f"pod {name!r} is not {until} yet"
    message = f": {pod.status.message}" if pod.status.message else ""
    if until is Until.ROUTED and pod.status.phase is Phase.AVAILABLE:
        message = ", but not every gateway leads to it yet; see them: podgate status"
    return f"pod {name!r} is {pod.status.phase}{message}"
