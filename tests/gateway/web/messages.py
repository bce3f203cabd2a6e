"""Requests and responses of one HTTP connection, as bytes."""

from tests.gateway.web.site import request

GET = request(line="GET /one HTTP/1.1")
SECOND = request(line="GET /two HTTP/1.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADE = request("Upgrade: websocket", "Connection: Upgrade", line="GET /socket HTTP/1.1")


def post(body: bytes, *lines: str, length: int | None = None) -> bytes:
    """Make a POST; its body is chunked already if there is no length."""
    framing = (
        f"Content-Length: {len(body) if length is None else length}" if length != -1 else "Transfer-Encoding: chunked"
    )
    return request(framing, *lines, line="POST /form HTTP/1.1") + body


def chunks(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"
