"""Complete HTTP/1.1 responses of the gateway itself: a refusal, for people or for programs, a redirect, a page that
waits for a pod.

Source: RFC 9110; RFC 9457 (problem documents, of which `hint` is an extension member).
"""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

RETRY_AFTER = 5  # seconds: how soon it is worth asking again for a pod that starts

# The look of the sign-in site (controller/console/pages/style.css), as far as a page without forms needs it.
_STYLE = (
    ":root{color-scheme:light dark;--ink:#1b1f24;--quiet:#57606a;--paper:#fff;--deed:#0550ae}"
    "@media (prefers-color-scheme:dark)"
    "{:root{--ink:#e6edf3;--quiet:#9ea7b3;--paper:#121519;--deed:#79b8ff}}"
    "body{font:1.1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
    "max-width:36rem;margin:8vh auto 3rem;padding:0 1.5rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}p{margin:.75rem 0;overflow-wrap:anywhere}"
    "progress{width:100%;height:.5rem;accent-color:var(--deed)}"
    "footer{margin-top:3rem;color:var(--quiet);font-size:.9rem}"
)
# Looks twice a second whether the pod is there; a page without scripts looks anew by its Refresh.
_SCRIPT = (
    "const look=async()=>{try{const answer=await fetch('/.podgate/state',{cache:'no-store'});"
    "if(!answer.ok||(await answer.json()).state!=='starting'){location.reload();return}}catch{}"
    "setTimeout(look,500)};look()"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode("ascii")

Headers = Sequence[tuple[str, str]]


def refusal(
    status: int,
    title: str,
    detail: str,
    hint: str,
    wants_html: bool,
    head_only: bool = False,
    headers: Headers = (),
) -> bytes:
    """Make a response that says what happened (`title`, `detail`) and what to do (`hint`), and ends the connection."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = (*headers, ("Retry-After", str(RETRY_AFTER)))
    if wants_html:
        body = _page(status, title, [detail, hint])
        own = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _POLICY)]
    else:
        body = _problem(status, title, detail, hint)
        own = [("Content-Type", "application/problem+json")]
    return response(status, [*own, *headers], body, head_only=head_only)


def waiting(title: str, detail: str, head_only: bool = False) -> bytes:
    """Make the page shown while a pod starts: it becomes the pod's own as soon as that is there."""
    noscript = '<noscript><meta http-equiv="refresh" content="2"></noscript>\n'
    more = f'<progress aria-label="starting"></progress>\n<script>{_SCRIPT}</script>\n'
    body = _page(HTTPStatus.SERVICE_UNAVAILABLE, title, [detail], noscript, more)
    policy = f"{_POLICY}; script-src 'sha256-{_SCRIPT_HASH}'; connect-src 'self'"
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy)]
    headers.append(("Retry-After", str(RETRY_AFTER)))
    return response(HTTPStatus.SERVICE_UNAVAILABLE, headers, body, head_only=head_only)


def document(status: int, content: dict[str, object], headers: Headers = ()) -> bytes:
    """Make a response of JSON, after which the connection goes on."""
    body = json.dumps(content).encode()
    return response(status, [("Content-Type", "application/json"), *headers], body, keeps_alive=True)


def redirect(status: int, location: str, headers: Headers = (), *, keeps_alive: bool = False) -> bytes:
    """Make a redirect; whatever cannot stand in a URI is percent-encoded."""
    place = quote(location, safe="!#$%&'()*+,/:;=?@[]~", errors="replace")
    return response(status, [("Location", place), *headers], b"", keeps_alive=keeps_alive)


def response(
    status: int, headers: Headers, body: bytes, *, head_only: bool = False, keeps_alive: bool = False
) -> bytes:
    """Make a response with what every one of ours has: nobody keeps it, guesses its type, or learns where it led."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers),
        *([] if status == HTTPStatus.NO_CONTENT else [f"Content-Length: {len(body)}"]),
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        *([] if keeps_alive else ["Connection: close"]),
    ]
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body


def _problem(status: int, title: str, detail: str, hint: str) -> bytes:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(problem | ({"hint": hint} if hint else {})).encode() + b"\n"


def _sentence(text: str) -> str:
    """Begin with a capital and end with a full stop, as on a page; not so what begins with a name in lower case."""
    begins = text[:1].upper() + text[1:] if "." not in text.partition(" ")[0] else text
    return begins if begins.endswith((".", "!", "?")) or ": " in begins[-80:] else f"{begins}."


def _page(status: int, title: str, paragraphs: Sequence[str], head: str = "", more: str = "") -> bytes:
    title = html.escape(title)
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n{head}<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n<h1>{title}</h1>\n"
        + "".join(f"<p>{html.escape(_sentence(text))}</p>\n" for text in paragraphs if text)
        + f"{more}</main>\n<footer>Podgate · {int(status)}</footer>\n</body>\n</html>\n"
    )
    return page.encode(errors="replace")
