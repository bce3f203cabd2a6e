"""Around all of the console: the headers of every answer, and a page for what nobody expected."""

import logging
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.console.site import Site

_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_HSTS = "max-age=63072000"  # two years; not for *.localhost, which every machine has for itself

log = logging.getLogger("controller.console")


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        host = site.control.settings.console_host
        own = host == "localhost" or host.endswith(".localhost")
        self._headers = _HEADERS if own else {**_HEADERS, "strict-transport-security": _HSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            number = secrets.token_hex(4)
            # Of the path only where it begins: the rest of a share link's is a secret.
            place = scope["path"][:200].split("/")[1]
            log.exception("unexpected failure %s in %s /%s", number, scope["method"], place)
            if not begun:
                page = self._site.error(
                    500, "Something broke", f"The controller's log tells more under {number}.", "Try again in a moment."
                )
                await page(scope, receive, send_on)
