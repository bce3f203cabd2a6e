"""HTTP over unix sockets for tests.

httpx makes a TLS context for a transport that will never need one, and loads every authority of the machine into it,
which takes 40 ms of one core each time: here it gets one that is empty.
"""

import ssl
from pathlib import Path

import httpx

_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody


def to_socket(path: Path | str) -> httpx.HTTPTransport:
    return httpx.HTTPTransport(verify=_UNUSED, uds=str(path))


def async_to_socket(path: Path | str) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(verify=_UNUSED, uds=str(path))
