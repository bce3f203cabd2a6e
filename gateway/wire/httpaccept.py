"""What kind of answer a client prefers. Source: RFC 9110, section 12.5.1."""

import re
from collections.abc import Iterable

from gateway.wire.httpfields import list_members

_QUALITY = re.compile(r"(?:\A|;)\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|\Z)")
_HTML = ("text/html", "application/xhtml+xml")
_JSON = ("application/json", "application/problem+json")


def prefers_html(accept: Iterable[bytes]) -> bool:
    """HTML is named, and no JSON is named with a greater quality; `*/*`, as curl sends it, names neither."""
    quality: dict[str, float] = {}
    for media_range in list_members(accept):
        media, _, parameters = media_range.decode("latin-1").partition(";")
        given = _QUALITY.search(parameters)
        quality[media.strip()] = float(given[1]) if given else 1.0
    html = max(quality.get(media, 0.0) for media in _HTML)
    return html > 0 and html >= max(quality.get(media, 0.0) for media in _JSON)
