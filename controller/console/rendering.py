"""Rendering: pages/*.html to answers. Everything put into a page is escaped; nothing is loaded from anywhere."""

import base64
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_PLACE = Path(__file__).parent / "pages"


class Look:
    """The pages and their style."""

    def __init__(self) -> None:
        style = (_PLACE / "style.css").read_text()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
        self._policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        self._pages = Environment(
            loader=FileSystemLoader(_PLACE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._pages.globals["style"] = Markup(style)  # noqa: S704  # our own file
        self._pages.filters["moment"] = moment

    def page(self, name: str, status: int, context: dict[str, object], leads_to: Iterable[str] = ()) -> HTMLResponse:
        """Make a page. `leads_to`: the origins its forms may be redirected to; Chromium follows the policy there."""
        text = self._pages.get_template(f"{name}.html").render(context)
        form_action = " ".join(("'self'", *leads_to))
        policy = f"{self._policy}form-action {form_action}; frame-ancestors 'none'"
        return HTMLResponse(text, status, {"content-security-policy": policy})


def moment(at: float | None) -> str:
    """Write a time for people: `3 May 2027, 14:05 UTC`."""
    if at is None:
        return "never"
    found = time.gmtime(at)
    return f"{found.tm_mday} {time.strftime('%B %Y, %H:%M', found)} UTC"
