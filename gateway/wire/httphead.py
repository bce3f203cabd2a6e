"""The head of an HTTP/1 request, read strictly.

h11 reads the head. What it lets pass although two parsers could read it differently is refused here, on the bytes
before h11 sees them and on the request after it. Half line ends and folded lines are refused as soon as they show.

Sources: RFC 9110 (semantics) and RFC 9112, sections 2.2 (line ends), 3.2 (request target and Host), 5.2 (folding),
6.1 to 6.3 (length of the body).
"""

import re
from dataclasses import dataclass
from typing import cast

import h11

from gateway.wire.httpreply import redirect, refusal
from gateway.wire.verdict import Malformed, More

__all__ = ["LARGEST_HEAD", "RequestHead", "parse_head", "redirect", "refusal"]

LARGEST_HEAD = 32 * 1024  # bytes: browsers send up to some 16 KiB of cookies

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(?:[/?].*)?", re.IGNORECASE)
_QUALITY = re.compile(r"(?:\A|;)\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|\Z)")

_HTML = ("text/html", "application/xhtml+xml")
_JSON = ("application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a gateway decides by; `size` counts the bytes of the head with its empty line."""

    method: str
    target: str
    host: str | None  # lower case, without port; None: an HTTP/1.0 request that names none
    wants_html: bool  # a person's browser, not a program
    is_upgrade: bool
    size: int


def parse_head(data: bytes | memoryview) -> RequestHead | More:
    """Read the head that `data` begins with; what follows it is left alone. Raises Malformed."""
    seen = bytes(data[:LARGEST_HEAD])
    end = seen.find(_END)
    head = seen if end < 0 else seen[: end + len(_END)]
    if _has_half_line_end(head):
        raise Malformed("http head: bare cr or lf, expected crlf")
    if b"\n " in head or b"\n\t" in head:
        raise Malformed("http head: a line begins with white space")
    if end >= 0:
        return _judge(head, _read(head))
    if len(seen) == LARGEST_HEAD:
        raise Malformed(f"http head: unfinished after {LARGEST_HEAD} bytes, the limit")
    return More(len(seen) + 1)


def _has_half_line_end(head: bytes) -> bool:
    """Count, which is fast: a client may make us look anew for each byte. A CR at the very end may still get its LF."""
    whole = head.count(b"\r\n")
    return head.count(b"\n") > whole or head.count(b"\r") - head.endswith(b"\r") > whole


def _read(head: bytes) -> h11.Request:
    """Let h11 read a complete head; of its error, only the part before the colon is free of the client's bytes."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
    connection.receive_data(head)
    try:
        return cast(h11.Request, connection.next_event())
    except h11.RemoteProtocolError as error:
        raise Malformed(f"http head: {str(error).partition(':')[0].lower()}") from None


def _judge(head: bytes, request: h11.Request) -> RequestHead:
    """Refuse what h11 lets pass; `head` is asked for lengths because h11 merges equal ones."""
    is_chunked = bool(_values(request, b"transfer-encoding"))
    lengths = _LENGTH.findall(head)
    if request.http_version not in (b"1.0", b"1.1"):
        raise Malformed("http head: unknown version, expected 1.0 or 1.1")
    if len(lengths) > 1 or b"," in b"".join(lengths):
        raise Malformed("http head: content-length given more than once")
    if is_chunked and (lengths or request.http_version == b"1.0"):
        raise Malformed("http head: transfer-encoding with content-length or in http/1.0")
    method, target = request.method.decode("ascii"), request.target.decode("ascii")
    return RequestHead(
        method=method,
        target=target,
        host=_host([value for key, value in request.headers if key == b"host"], _authority_of(method, target)),
        wants_html=_prefers_html(_values(request, b"accept")),
        is_upgrade="upgrade" in _values(request, b"connection") and bool(_values(request, b"upgrade")),
        size=len(head),
    )


def _values(request: h11.Request, name: bytes) -> list[str]:
    """Give the members of a header's comma-separated list in lower case, of all its lines together."""
    lines = [value.decode("latin-1").lower() for key, value in request.headers if key == name]
    return [member.strip() for member in ",".join(lines).split(",") if member.strip()]


def _authority_of(method: str, target: str) -> str | None:
    """Give the authority that a request target names; None in origin form and asterisk form."""
    if method == "CONNECT":
        return target.lower()
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("http head: unknown form of request target")
    return absolute[1].lower()


def _host(headers: list[bytes], target_authority: str | None) -> str | None:
    """Give the host without its port. Raises Malformed if header and target differ, or it cannot be a host."""
    named = [value.decode("latin-1").lower() for value in headers]
    if target_authority is not None:
        named.append(target_authority)
    if not named:
        return None
    host = _AUTHORITY.fullmatch(named[0])
    if host is None:
        raise Malformed("http head: host is not a host name and port")
    if len(set(named)) > 1:
        raise Malformed("http head: request target and host differ")
    return host[1]


def _prefers_html(accept: list[str]) -> bool:
    """HTML is named, and no JSON is named with a greater quality; `*/*`, as curl sends it, names neither."""
    quality: dict[str, float] = {}
    for media_range in accept:
        media, _, parameters = media_range.partition(";")
        given = _QUALITY.search(parameters)
        quality[media.strip()] = float(given[1]) if given else 1.0
    html = max(quality.get(media, 0.0) for media in _HTML)
    return html > 0 and html >= max(quality.get(media, 0.0) for media in _JSON)
