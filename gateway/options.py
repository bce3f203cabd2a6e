"""What a gateway can be told, in one value that travels to its workers."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """Seconds and counts; the defaults are for the open internet."""

    public_port: int = 443  # the port in addresses that people use
    opening_budget: float = 15.0  # from accept to the first relayed byte
    connect_timeout: float = 5.0  # for each upstream tried
    idle: float = 24 * 3600.0  # silence of a link; dead peers are found earlier, by TCP keep-alive
    linger: float = 60.0  # silence after one side has ended
    stall: float = 600.0  # one side does not take what the other sent
    keep_alive: float = 75.0  # silence of an HTTP connection between two requests
    request_head: float = 15.0  # from the first to the last byte of a request's head on a kept-alive connection
    drain: float = 30.0  # grace for open links at shutdown
    most_openings: int = 1024  # of one worker at once
    most_openings_of_address: int = 512  # the same from one client address: one stranger cannot shut all others out
    early_drop: str = ""  # START:RATE:FULL, of one worker's openings (gateway.dropping); empty: none is dropped early
    proxy_from: str = ""  # networks of balancers, separated by commas, that say whose connection it is; empty: none

    replica: int = 0  # which of several gateways this is: 0 to 63
    worker: int = 0  # which of its workers: 0 to 255; each is told its own

    domain: str = ""  # pods are reached as NAME.DOMAIN; for clients that can name a pod, and not its host
    console: str = ""  # the host people sign in at; empty: there is none
    client_ca: str = ""  # in PEM: the authority of client certificates; empty: none are asked for

    def to_document(self) -> dict[str, Any]:
        """Give the JSON form; `Options(**document)` reads it back."""
        return asdict(self)
