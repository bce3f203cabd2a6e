"""The documents of the API about gateways, theirs and those that tell of them, and about the service as a whole."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, field_validator

from controller.api.documents import Document, ReplicaName, ShortText, ShownText
from controller.gateways import check_name
from router.snapshot import MOST_REJECTED


class Refused(Document):
    """A route that a gateway could not use."""

    host: Annotated[str, StringConstraints(max_length=300)]
    reason: Annotated[str, StringConstraints(max_length=2000)]


class Acknowledgement(Document):
    """A gateway's word that it runs a version."""

    replica: ReplicaName
    epoch: ShownText
    version: Annotated[int, Field(ge=0, le=2**53)]
    rejected: list[Refused] = Field(default=[], max_length=MOST_REJECTED)


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

    replica: ReplicaName
    workers: Annotated[int, Field(ge=0, le=4096)]
    links: Annotated[int, Field(ge=0, le=2**53)]
    openings: Annotated[int, Field(ge=0, le=2**53)]
    draining: bool
    addresses: list[ShownText] = Field(default=[], max_length=16)


class GatewayRequest(Document):
    """A signing request in PEM of a gateway with a home of its own; of it only the key is used."""

    replica: ReplicaName
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
