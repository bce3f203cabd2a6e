"""Connections that a balancer passes on: it says in a header before all else whose they are (PROXY protocol).

Only who comes from a network that was named is believed, and from there a header is required: a client that could
choose would choose its own address. From anywhere else a header is the beginning of no protocol that we know.
"""

import ipaddress
import socket
from collections.abc import Callable

from gateway.sniffing import peek
from gateway.wire.proxyprotocol import ProxyHeader, parse
from gateway.wire.verdict import Malformed, Verdict

MOST_NETWORKS = 256  # each is looked at for each new connection

Named = Callable[[str], bool]  # told a client's address once it is known; tells whether there is room for it
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Balancers:
    """The networks whose word is taken."""

    def __init__(self, networks: tuple[Network, ...] = ()) -> None:
        self._networks = networks

    @classmethod
    def parse(cls, text: str) -> "Balancers":
        """Read networks or single addresses, separated by commas; none if `text` is empty. Raises ValueError."""
        words = [word.strip() for word in text.split(",")] if text else []
        if len(words) > MOST_NETWORKS:
            raise ValueError(f"proxy from: {len(words)} networks, limit {MOST_NETWORKS}; name larger ones")
        return cls(tuple(_network(word) for word in words))

    def __contains__(self, host: str) -> bool:
        """Tell whether an address is one of a balancer."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # whose address cannot even be read is nobody's balancer, and no reason to stop accepting
            return False
        return any(address in network for network in self._networks)

    def __str__(self) -> str:
        return ",".join(map(str, self._networks))


async def introduced(client: socket.socket) -> tuple[str, int] | None:
    """Take the header that a connection begins with, and nothing after it; give address and port of the client.

    None: it names none, so the connection is the balancer's own. Raises Malformed, and Abandoned where it ends before.
    """
    header: ProxyHeader | Verdict = await peek(client, parse)
    if isinstance(header, Verdict):
        raise Malformed("proxy header: expected one from this address, got something else; have the balancer send it")
    taken = client.recv(header.size)
    if len(taken) != header.size:
        raise Malformed(f"proxy header: {len(taken)} bytes of {header.size} could be read")
    return header.source


def written(address: tuple[str, int]) -> str:
    """Write a client's address as the log has it; the kernel gives one of IPv6 two more parts."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        raise ValueError(
            f"proxy from: {word!r} is not a network or an address, such as 10.0.0.0/24, 192.0.2.7 or 2001:db8::/64"
        ) from error
