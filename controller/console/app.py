"""The console as one ASGI application."""

import logging
import os
import time
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler, Receive, Scope, Send

from controller.console.account import Account
from controller.console.destination import BadDestination
from controller.console.doors import Doors
from controller.console.forms import RefusedForm
from controller.console.gate import Gate
from controller.console.links import Links
from controller.console.oidc.flow import OidcSignIn
from controller.console.oidc.settings import OidcSettings, oidc_settings
from controller.console.pods import YourPods
from controller.console.rendering import Look
from controller.console.signing import Signing
from controller.console.site import Site
from controller.control import Control
from controller.settings import SettingsProblem
from controller.store.database import StoreFailure

log = logging.getLogger("controller.console")


class Console:
    """The application, and what goes on beside its requests."""

    def __init__(self, site: Site, provider: OidcSettings | None) -> None:
        self._oidc = OidcSignIn(site, provider) if provider else None
        routes = [*Signing(site).routes, *Links(site).routes, *YourPods(site).routes, *Account(site).routes]
        routes += self._oidc.routes if self._oidc else []
        self._app = Gate(Starlette(routes=routes, exception_handlers=_handlers(site)), site)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    async def tend(self) -> None:
        """Keep what gateways know of the provider's keys true, until the controller ends."""
        if self._oidc is not None:
            await self._oidc.tend()


def create_console(
    control: Control, environ: Mapping[str, str] = os.environ, now: Callable[[], float] = time.time
) -> Console:
    """Make the application. A provider that cannot be used is left out, and the log says why."""
    provider = _provider(control, environ)
    return Console(Site(control, Look(), Doors(control), provider.name if provider else "", now), provider)


def _provider(control: Control, environ: Mapping[str, str]) -> OidcSettings | None:
    try:
        return oidc_settings(control.settings, environ)
    except SettingsProblem as problem:
        log.error("console: people can sign in with passwords only: %s", problem)
        return None


def _handlers(site: Site) -> dict[type[Exception] | int, ExceptionHandler]:
    def of_http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 405:
            return site.error(405, "Not like this", "This page is not asked for in this way.")
        return site.error(status, "No such page", "There is nothing at this address.")

    def of_form(_request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, RefusedForm) else 403
        return site.error(status, "This was not taken", str(error))

    def of_destination(_request: Request, error: Exception) -> Response:
        return site.error(
            400, "This address leads nowhere", f"{str(error).capitalize()}.", "Open the pod's own address again."
        )

    def of_store(_request: Request, error: Exception) -> Response:
        log.error("console: %s", error)
        return site.error(503, "This cannot be done now", "What it changes cannot be stored.", "Try again later.")

    return {HTTPException: of_http, RefusedForm: of_form, BadDestination: of_destination, StoreFailure: of_store}
