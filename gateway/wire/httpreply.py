"""Complete HTTP/1.1 responses of the gateway itself: a refusal, for people or for programs, and a redirect.

Source: RFC 9110; RFC 9457 (problem documents, of which `hint` is an extension member).
"""

import html
import json
from http import HTTPStatus
from urllib.parse import quote

RETRY_AFTER = 5  # seconds: how soon it is worth asking again for a pod that starts

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 0;padding:0 1.5rem}"
    "h1{font-size:1.5rem;line-height:1.25}p{overflow-wrap:anywhere}"
)
_HTML_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_PROBLEM_HEADERS = {"Content-Type": "application/problem+json"}


def refusal(status: int, title: str, detail: str, hint: str, wants_html: bool, head_only: bool = False) -> bytes:
    """Make a response that says what happened (`title`, `detail`) and what to do (`hint`), and ends the connection."""
    headers = _HTML_HEADERS if wants_html else _PROBLEM_HEADERS
    body = _page(status, title, detail, hint) if wants_html else _problem(status, title, detail, hint)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {**headers, "Retry-After": str(RETRY_AFTER)}
    return _response(status, headers, body, head_only)


def redirect(status: int, location: str) -> bytes:
    """Make a redirect; whatever cannot stand in a URI is percent-encoded."""
    return _response(status, {"Location": quote(location, safe="!#$%&'()*+,/:;=?@[]~", errors="replace")}, b"", False)


def _response(status: int, headers: dict[str, str], body: bytes, head_only: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body


def _problem(status: int, title: str, detail: str, hint: str) -> bytes:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(problem | ({"hint": hint} if hint else {})).encode() + b"\n"


def _page(status: int, title: str, detail: str, hint: str) -> bytes:
    title, paragraphs = html.escape(title), [html.escape(text) for text in (detail, hint) if text]
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n<h1>{title}</h1>\n"
        + "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)
        + f"<p><small>Podgate · {status}</small></p>\n</main>\n</body>\n</html>\n"
    )
    return page.encode(errors="replace")
