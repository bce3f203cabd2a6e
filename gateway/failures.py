"""Failures: how often an address has shown wrong credentials of late. One for each worker.

Tokens are beyond guessing; what is bounded is the work and the log lines of whoever tries. Whoever shows a right one is
let in at once whatever others at the same address do: many people may have one address.
"""

import ipaddress

from gateway.web.pacing import Pacer

BURST = 20  # wrong ones at once
RATE = 0.2  # of them a second from then on
PENALTY = 2.0  # seconds that the answer to each further one takes
IPV6_SITE = 64  # bits of an address of IPv6 that a site has; the rest it gives out itself (RFC 6177)


class Failures:
    """Wrong credentials by client address."""

    def __init__(self) -> None:
        self._pacer = Pacer()

    def count(self, address: str, now: float) -> float:
        """Count one, and tell in how many seconds it is to be answered; `now` is of a steady clock."""
        return PENALTY if self._pacer.take(("", site_of(address)), RATE, BURST - 1, now) else 0.0


def site_of(address: str) -> str:
    """Give what stands for all addresses of one client: one of IPv4 itself, of IPv6 its network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.IPv6Network((parsed, IPV6_SITE), strict=False))
