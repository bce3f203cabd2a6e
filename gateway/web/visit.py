"""What is true of a visit to a host, and what can become of a request: plain values."""

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

from gateway.proof import Proof
from router.access import AccessLevel, Principal
from router.credentials import Credentials
from router.model import Route
from router.table import RouteTable


class Policy(NamedTuple):
    """What is decided by; replaced whole when anything of it changes."""

    routes: RouteTable
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Visit:
    """What is true of all requests of a connection."""

    host: str  # asked for in the TLS handshake
    address: str  # of the client, without its port
    client: str = ""  # the same with its port, for the log
    certificate: Proof | None = None
    port: int = 443  # the one in addresses that people use
    console: str = ""  # the host of the sign-in; empty: there is none

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The client's address; one of IPv4 that came over IPv6 as what it is. None: it has none, or none is known."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return None
        return getattr(address, "ipv4_mapped", None) or address

    def url(self, host: str, path: str) -> str:
        """Make the URL of a path at a host of ours."""
        return f"https://{host}{'' if self.port == 443 else f':{self.port}'}{path}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as far as that is proven."""

    proof: Proof | None = None
    principal: Principal | None = None
    level: AccessLevel | None = None  # held on the pod
    is_token_ours: bool = False  # the Authorization field is for us, and not for the pod


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may go to its pod."""

    route: Route
    caller: Caller
    policy: Policy  # by which that was decided


@dataclass(frozen=True, slots=True)
class Answer:
    """A request that the gateway answers itself."""

    data: bytes
    why: str  # for the log
    keeps_alive: bool = False
    refused: Principal | None = None  # who was told no


NOBODY = Caller()
