"""What a case of the corpus is, and how its bytes are put together."""

from dataclasses import dataclass

HOST = "web.pods.test"

HEAD = "http head: "
BODY = "http body: "


@dataclass(frozen=True, slots=True)
class Refused:
    """Malformed, with a text that begins like this; `http body: …` if the head alone is right."""

    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Accepted, and understood like this."""

    host: str | None
    length: int | None  # None: chunked
    end: int  # of the body, counted from the first byte of the request; what is behind it is another request


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request, or more than one, as an attacker would send it, and how the first one is to be understood."""

    name: str
    request: bytes
    expected: Refused | Reading


def head(*lines: str, line: str = "GET / HTTP/1.1", host: str | None = HOST) -> bytes:
    """Make a head of these field lines; every character is one byte."""
    every = [line, *([] if host is None else [f"Host: {host}"]), *lines, ""]
    return "".join(f"{one}\r\n" for one in every).encode("latin-1")


def post(*lines: str) -> bytes:
    """Make the head of a POST, which needs a body."""
    return head(*lines, line="POST /form HTTP/1.1")


def chunked(*lines: str) -> bytes:
    """Make the head of a chunked POST."""
    return post("Transfer-Encoding: chunked", *lines)


SMUGGLED = head(line="GET /admin HTTP/1.1")


def refused(name: str, request: bytes, text: str) -> Hostile:
    """Expect Malformed from the head."""
    return Hostile(name, request, Refused(HEAD + text))


def bad_body(name: str, request: bytes, text: str) -> Hostile:
    """Expect Malformed from the body, after a head that is right."""
    return Hostile(name, request, Refused(BODY + text))


def read(
    name: str,
    request: bytes,
    *,
    body: bytes = b"",
    rest: bytes = b"",
    length: int | None = 0,
    host: str | None = HOST,
) -> Hostile:
    """Expect this reading: `request` is the head, `body` its body, and `rest` belongs to neither."""
    return Hostile(name, request + body + rest, Reading(host, length, len(request) + len(body)))
