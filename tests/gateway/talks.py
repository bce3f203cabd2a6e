"""What clients of each protocol say first, and what a refusal looks like to them."""

import re
from typing import NamedTuple

from tests.peers import TlsPeer


class Answer(NamedTuple):
    """A refusal as a client reads it."""

    code: str  # HTTP status, SQLSTATE or Bolt code
    text: str


def startup(user: str = "alice") -> bytes:
    """Make a Postgres StartupMessage of protocol 3.0."""
    body = b"\x00\x03\x00\x00" + b"user\0" + user.encode() + b"\0\0"
    return (4 + len(body)).to_bytes(4, "big") + body


def error_fields(message: bytes) -> dict[str, str]:
    """Read the fields of a Postgres ErrorResponse."""
    assert message[:1] == b"E"
    assert int.from_bytes(message[1:5], "big") == len(message) - 1
    return {part[:1].decode(): part[1:].decode() for part in message[5:-2].split(b"\0")}


def head(host: str, target: str = "/", **headers: str) -> bytes:
    """Make the head of a GET request."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode()


BOLT_HANDSHAKE = bytes.fromhex("6060b017") + bytes.fromhex("00000405") + bytes(12)
BOLT_HELLO = bytes.fromhex("0003b101a00000")
BOLT_LOGON = bytes.fromhex("0003b16aa00000")


def ask_postgres(peer: TlsPeer) -> Answer:
    peer.send(startup())
    fields = error_fields(peer.receive_to_end()[0])
    assert fields["S"] == "FATAL"
    return Answer(fields["C"], f"{fields['M']} {fields.get('H', '')}")


def ask_http(peer: TlsPeer, request: bytes = head("any")) -> Answer:
    peer.send(request)
    return http_answer(peer.receive_to_end()[0])


def http_answer(response: bytes) -> Answer:
    top, _, body = response.partition(b"\r\n\r\n")
    length = next(line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length"))
    assert int(length.partition(b":")[2]) == len(body)
    return Answer(top.split(b" ")[1].decode(), body.decode())


def ask_bolt(peer: TlsPeer) -> Answer:
    peer.send(BOLT_HANDSHAKE)
    assert peer.receive(4) == bytes.fromhex("00000405")
    peer.send(BOLT_HELLO + BOLT_LOGON)
    failure = peer.receive_to_end()[0]
    if failure[2:4] == b"\xb1\x70":  # the answer to HELLO, where credentials are looked at
        failure = failure[2 + int.from_bytes(failure[:2], "big") + 2 :]
    assert failure[2:4] == b"\xb1\x7f"
    text = failure[4:].decode(errors="replace")
    code = re.search(r"Neo\.\w+\.\w+\.\w+", text)
    assert code
    return Answer(code[0], text)


ASK = {"postgres": ask_postgres, "http": ask_http, "bolt": ask_bolt}
