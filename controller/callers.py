"""Where a caller comes from. Whoever is not on our own sockets comes through a gateway, which says so in
X-Forwarded-For: one address, and never one that a client sent.
"""

import ipaddress

from starlette.datastructures import Headers

from controller.identity import LOCAL

UNKNOWN = "unknown"  # a gateway told no address, or not one


def address_of(headers: Headers, *, public: bool) -> str:
    """Give the address of a caller; `public`: strangers reach the socket through a gateway."""
    given = headers.getlist("x-forwarded-for")
    if not public and not given:
        return LOCAL
    try:
        return str(ipaddress.ip_address(given[0].strip())) if len(given) == 1 else UNKNOWN
    except ValueError:
        return UNKNOWN
