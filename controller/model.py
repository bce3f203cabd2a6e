"""Pod: what the controller knows and wants of one pod, as plain values that the store keeps and the plan reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from router.access import AccessLevel


class Want(StrEnum):
    """What its owner asked of a pod."""

    ON = "on"
    OFF = "off"
    DELETED = "deleted"


class Phase(StrEnum):
    """How far a pod is on the way to what is wanted of it."""

    REQUESTED = "requested"
    STARTING = "starting"
    AVAILABLE = "available"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"  # tried several times without ever becoming ready; still tried again, ever more rarely


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a pod. Times are seconds since 1970."""

    phase: Phase = Phase.REQUESTED
    message: str = ""
    since: float = 0.0  # when the phase began
    restarts: int = 0  # how often the pod ended by itself, in all its life
    failures: int = 0  # ends and failed actions in a row, for the back-off; forgotten after a calm while
    retry_at: float = 0.0  # not before this is an action tried again


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `key` and `number` are its identity for ever; its name is free again when it is gone."""

    number: int
    key: str
    name: str
    template: str
    access: AccessLevel
    created_at: float
    want: Want = Want.ON
    generation: int = 1  # rises whenever the pod is to be started anew, also after it ended by itself
    parameters: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: Status = Status()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a pod, for people."""

    at: float
    kind: str
    message: str


def started(pod: Pod) -> Pod:
    """Give the pod as it is after its owner asked for a start: on, and tried at once whatever went wrong before."""
    if pod.want is Want.ON:
        return replace(pod, status=_unburdened(pod.status))
    return replace(pod, want=Want.ON, generation=pod.generation + 1, status=_unburdened(pod.status))


def restarted(pod: Pod) -> Pod:
    """Give the pod as it is after its owner asked for a restart."""
    return replace(pod, want=Want.ON, generation=pod.generation + 1, status=_unburdened(pod.status))


def stopped(pod: Pod) -> Pod:
    """Give the pod as it is after its owner asked for a stop."""
    return replace(pod, want=Want.OFF, status=_unburdened(pod.status))


def deleted(pod: Pod) -> Pod:
    """Give the pod as it is after its owner asked for its end."""
    return replace(pod, want=Want.DELETED, status=_unburdened(pod.status))


def _unburdened(status: Status) -> Status:
    """Forget what went wrong, so that the next action is tried at once and judged by what comes of it."""
    if status.phase is Phase.FAILED:
        status = replace(status, phase=Phase.STARTING, message="")
    return replace(status, failures=0, retry_at=0.0)
