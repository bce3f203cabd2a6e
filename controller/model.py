"""Pod: what the controller knows and wants of one pod, as plain values that the store keeps and the plan reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from router.access import AccessLevel, Grants
from router.model import Network, WebRules


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


NO_RULES = WebRules()


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """How one endpoint of a pod is used, where that is not as the pod says."""

    access: AccessLevel | None = None  # None: the pod's
    ip_allow: tuple[Network, ...] = ()
    certificates: bool = False
    web: WebRules = NO_RULES
    hosts: tuple[str, ...] = ()  # by which it is reached too, outside the pods' domain
    most_links: int = 0  # open connections at once; 0: any number
    most_links_of_user: int = 0  # the same of one user


@dataclass(frozen=True, slots=True)
class Link:
    """A share link, without its secret."""

    id: str
    level: AccessLevel
    hash: str = field(repr=False)
    password: str = field(repr=False)  # argon2id; empty: none is asked for
    created: float
    created_by: str
    expires: float
    uses_left: int | None = None  # None: any number


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
    pending: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets that are to take the place of those
    status: Status = Status()
    owner: str = "admin"
    grants: Grants = field(default_factory=dict)  # to users, groups and everyone, beside what the owner holds
    links: tuple[Link, ...] = ()
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)  # by the endpoint's name
    upstreams: Mapping[str, str] = field(default_factory=dict)  # where it was seen last, by the endpoint's name

    def settings_of(self, endpoint: str) -> EndpointSettings:
        """Give the settings of an endpoint."""
        return self.endpoints.get(endpoint, _AS_THE_POD)

    def access_of(self, endpoint: str) -> AccessLevel:
        """Give the level an endpoint asks for."""
        own = self.settings_of(endpoint).access
        return self.access if own is None else own

    @property
    def levels(self) -> Grants:
        """Give who holds which level, the owner among them; nobody else owns it."""
        return {**self.grants, f"user:{self.owner}": AccessLevel.OWNER}


_AS_THE_POD = EndpointSettings()


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
