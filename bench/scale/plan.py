"""What is to be simulated."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.document import Documented

DOMAIN = "pods.localhost"
NAMESPACE = "podgate"
SQLITE, POSTGRES = "sqlite", "postgres"  # where the controller keeps what it knows
BROKEN = 1.0  # seconds: a lag whose 99th percentile is above is no service


class Kind(StrEnum):
    """What is done to a pod."""

    ACCESS = "access level changed"
    STOP = "stopped"
    START = "started"
    CREATE = "created"
    DELETE = "deleted"
    POD_BY_HAND = "Pod deleted by hand"
    SET_BY_HAND = "StatefulSet deleted by hand"


MIX: Mapping[Kind, int] = {  # of a hundred changes
    Kind.ACCESS: 30,
    Kind.STOP: 20,
    Kind.START: 20,
    Kind.CREATE: 8,
    Kind.DELETE: 8,
    Kind.POD_BY_HAND: 10,
    Kind.SET_BY_HAND: 4,
}


@dataclass(frozen=True, slots=True)
class Plan(Documented):
    """How much."""

    sizes: tuple[int, ...] = (1_000, 3_000, 10_000)  # pods
    gateways: int = 10
    rate: float = 100.0  # changes a second, at every size
    seconds: float = 20.0
    rates: tuple[float, ...] = (20.0, 40.0, 60.0, 80.0, 100.0, 150.0)  # at the largest size, until one breaks
    rate_seconds: float = 20.0  # of each of these
    starting: float = 0.2  # seconds from a Pod's making to its being ready
    stopping: float = 0.1  # seconds from its being told to end to its end
    seed: int = 7
    store: str = SQLITE
