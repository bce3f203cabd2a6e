"""The documents of the API: what callers send, checked and bounded, and what they get."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from controller.gateways import check_name
from controller.model import EndpointSettings
from router.access import AccessLevel
from router.database import MOST_LINKS
from router.hostname import LONGEST_HOST, check_pod_name, normalise
from router.model import MOST_NETWORKS, parse_network, parse_web_rules

MOST_ENV = 200
MOST_ENV_BYTES = 128 * 1024  # of all names and values: a process is given them all at once (ARG_MAX is 2 MiB)
MOST_PARAMETERS = 50
LONGEST_VALUE = 32 * 1024  # characters
MOST_ENDPOINTS = 50
MOST_ORIGINS = 100
MOST_HOSTS = 16  # of one endpoint

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ShortText = Annotated[str, StringConstraints(max_length=128)]
Value = Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]


class Document(BaseModel):
    """A document whose fields are all known: one we do not know might be a restriction."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class EndpointChange(Document):
    """How an endpoint is to be used; what is not told stays as it is. `access` null: as the pod says."""

    access: ShortText | None = None
    ip_allow: Annotated[list[ShortText], Field(max_length=MOST_NETWORKS)] = []
    certificates: bool = False
    web: Annotated[dict[ShortText, Any], Field(max_length=20)] = {}
    hosts: Annotated[
        list[Annotated[str, StringConstraints(max_length=LONGEST_HOST)]], Field(max_length=MOST_HOSTS)
    ] = []
    most_links: Annotated[int, Field(ge=0, le=MOST_LINKS)] = 0
    most_links_of_user: Annotated[int, Field(ge=0, le=MOST_LINKS)] = 0

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        return [normalise(host) for host in hosts]

    @field_validator("access")
    @classmethod
    def _check_access(cls, access: str | None) -> str | None:
        return None if access is None else str(AccessLevel.parse(access))

    @field_validator("ip_allow")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        return [str(parse_network(network)) for network in networks]

    @field_validator("web")
    @classmethod
    def _check_web(cls, web: dict[str, Any]) -> dict[str, Any]:
        rules = parse_web_rules(web)
        if len(rules.cors) > MOST_ORIGINS or any(len(origin) > LONGEST_HOST + 20 for origin in rules.cors):
            raise ValueError(f"cors: expected at most {MOST_ORIGINS} origins")
        return rules.to_document()

    def applied(self, settings: EndpointSettings) -> EndpointSettings:
        """Give settings with this change made."""
        told = self.model_fields_set
        if "access" in told:
            settings = replace(settings, access=None if self.access is None else AccessLevel.parse(self.access))
        if "ip_allow" in told:
            settings = replace(settings, ip_allow=tuple(parse_network(network) for network in self.ip_allow))
        if "certificates" in told:
            settings = replace(settings, certificates=self.certificates)
        if "hosts" in told:
            settings = replace(settings, hosts=tuple(dict.fromkeys(self.hosts)))
        if "most_links" in told:
            settings = replace(settings, most_links=self.most_links)
        if "most_links_of_user" in told:
            settings = replace(settings, most_links_of_user=self.most_links_of_user)
        return replace(settings, web=parse_web_rules(self.web)) if "web" in told else settings


class NewPod(Document):
    """What is told of a pod to create it."""

    name: Annotated[str, StringConstraints(max_length=100)]
    template: ShortText
    access: ShortText = "owner"
    parameters: Annotated[dict[ShortText, Value], Field(max_length=MOST_PARAMETERS)] = {}
    env: Annotated[dict[ShortText, Value], Field(max_length=MOST_ENV)] = {}
    endpoints: Annotated[dict[ShortText, EndpointChange], Field(max_length=MOST_ENDPOINTS)] = {}

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
    database: str | None = None  # of `postgres` and `bolt`
    access: str
    ip_allow: list[str]
    certificates: bool
    web: dict[str, Any]
    hosts: list[str]
    most_links: int
    most_links_of_user: int


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
    """A gateway replica with an open stream.

    `current`: it runs the version published last; `lag_seconds`: since when the first version it misses is published.
    `links`, `openings` and `workers` are as it told last; `address` is where its stream comes from.
    """

    replica: str
    epoch: str
    version: int
    current: bool
    lag_versions: int
    lag_seconds: float
    workers: int
    since: str
    rejected: list[Refused]
    links: int
    openings: int
    draining: bool
    address: str
    listens: list[str]
    number: int
    software: str


class GatewayList(BaseModel):
    """All that are live, by name; `version`: the one published last."""

    epoch: str
    version: int
    gateways: list[GatewayDocument]


class GatewayStanding(Document):
    """How a gateway is, in its own words."""

    replica: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    workers: Annotated[int, Field(ge=0, le=4096)]
    links: Annotated[int, Field(ge=0, le=2**53)]
    openings: Annotated[int, Field(ge=0, le=2**53)]
    draining: bool
    addresses: Annotated[list[ShortText], Field(max_length=16)] = []


class GatewayRequest(Document):
    """A signing request in PEM of a gateway with a home of its own; of it only the key is used."""

    replica: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    csr: Annotated[str, StringConstraints(max_length=16 * 1024)]


class GatewayCertificates(BaseModel):
    """What such a gateway serves pods' hosts by, what other replicas know it by, and who signed both; in PEM."""

    certificate: str
    peer: str
    ca: str


class NewGatewayToken(Document):
    """The name of the gateways that a token is for."""

    name: ShortText

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_name(name)


class GatewayTokenDocument(BaseModel):
    """A token of gateways; its text is told once, when it is made."""

    name: str
    token: str


class GatewayTokenList(BaseModel):
    """The names there are tokens for."""

    names: list[str]


class PublishedRoutes(BaseModel):
    """The version published last, and how many routes it has."""

    epoch: str
    version: int
    count: int


class StatusDocument(BaseModel):
    """How the controller is; with replicas, which of them answers and which leads."""

    version: str
    started_at: str
    domain: str
    pods: dict[str, int]
    routes: PublishedRoutes
    gateways: list[GatewayDocument]
    replica: str | None = None  # of the controller, which answers
    leader: str | None = None  # the replica that leads, as far as the one that answers knows
    database: str | None = None  # what is wrong with the database that replicas share, so that nothing can be changed


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
