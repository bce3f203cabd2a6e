"""The documents of the API: what callers send, checked and bounded, and what they get."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from router.access import AccessLevel
from router.hostname import check_pod_name

MOST_ENV = 200
MOST_ENV_BYTES = 128 * 1024  # of all names and values: a process is given them all at once (ARG_MAX is 2 MiB)
MOST_PARAMETERS = 50
LONGEST_VALUE = 32 * 1024  # characters

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ShortText = Annotated[str, StringConstraints(max_length=128)]
Value = Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]


class Document(BaseModel):
    """A document whose fields are all known: one we do not know might be a restriction."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NewPod(Document):
    """What is told of a pod to create it."""

    name: Annotated[str, StringConstraints(max_length=100)]
    template: ShortText
    access: ShortText = "owner"
    parameters: Annotated[dict[ShortText, Value], Field(max_length=MOST_PARAMETERS)] = {}
    env: Annotated[dict[ShortText, Value], Field(max_length=MOST_ENV)] = {}

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_pod_name(name)

    @field_validator("access")
    @classmethod
    def _check_access(cls, access: str) -> str:
        return str(AccessLevel.parse(access))

    @field_validator("env")
    @classmethod
    def _check_env(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a variable: expected letters, digits and '_', no digit first")
            if "\0" in value:
                raise ValueError(f"the value of {name} holds a NUL")
        if sum(len(name) + len(value.encode()) for name, value in env.items()) > MOST_ENV_BYTES:
            raise ValueError(f"all variables together are longer than {MOST_ENV_BYTES} bytes")
        return env


class Refused(Document):
    """A route that a gateway could not use."""

    host: Annotated[str, StringConstraints(max_length=300)]
    reason: Annotated[str, StringConstraints(max_length=2000)]


class Acknowledgement(Document):
    """A gateway's word that it runs a version."""

    replica: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    epoch: ShortText
    version: Annotated[int, Field(ge=0, le=2**53)]
    rejected: Annotated[list[Refused], Field(max_length=1000)] = []


class EndpointDocument(BaseModel):
    """One address of a pod."""

    name: str
    host: str
    port: int
    protocol: str
    access: str


class CredentialDocument(BaseModel):
    """A user the pod knows."""

    user: str
    password: str


class PodDocument(BaseModel):
    """A pod; credentials and uris are left out of lists."""

    name: str
    key: str
    template: str
    access: str
    owner: str
    want: str
    phase: str
    message: str
    since: str
    restarts: int
    created_at: str
    routed: bool
    endpoints: list[EndpointDocument]
    credentials: dict[str, CredentialDocument] | None = None
    uris: dict[str, str] | None = None


class PodList(BaseModel):
    """All pods, oldest first."""

    pods: list[PodDocument]


class EventDocument(BaseModel):
    """Something that happened to a pod."""

    at: str
    kind: str
    message: str


class EventList(BaseModel):
    """The events of a pod, newest last."""

    events: list[EventDocument]


class ParameterDocument(BaseModel):
    """One thing that can be chosen when a pod is created."""

    name: str
    help: str
    default: str
    required: bool


class TemplateEndpointDocument(BaseModel):
    """One endpoint a template's pods have."""

    name: str
    protocol: str


class TemplateDocument(BaseModel):
    """What a pod can be made of."""

    name: str
    summary: str
    parameters: list[ParameterDocument]
    endpoints: list[TemplateEndpointDocument]


class TemplateList(BaseModel):
    """All templates, by name."""

    templates: list[TemplateDocument]


class GatewayDocument(BaseModel):
    """A gateway replica with an open stream; `current`: it runs the version published last."""

    replica: str
    epoch: str
    version: int
    current: bool
    workers: int
    since: str
    rejected: list[Refused]


class PublishedRoutes(BaseModel):
    """The version published last, and how many routes it has."""

    epoch: str
    version: int
    count: int


class StatusDocument(BaseModel):
    """How the controller is."""

    version: str
    started_at: str
    domain: str
    pods: dict[str, int]
    routes: PublishedRoutes
    gateways: list[GatewayDocument]


class ProblemField(BaseModel):
    """A field at fault."""

    field: str
    reason: str


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] | None = None


def timestamp(seconds: float) -> str:
    """Write a time as RFC 3339 does, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
