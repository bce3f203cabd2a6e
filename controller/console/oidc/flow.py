"""The two steps of a browser: away to the provider, and back with a code.

What is under way is in a sealed cookie of this browser for ten minutes: a code or a state somebody else has is of no
use here. It is dropped by the first answer that uses it.
"""

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.console.destination import FIELDS, read_destination
from controller.console.oidc.provider import Provider, ProviderFailure
from controller.console.oidc.remembered import recall, remember
from controller.console.oidc.settings import OidcSettings
from controller.console.oidc.tokens import BadToken, Claims, WebKey
from controller.console.sealed import Record
from controller.console.signing import signed_in
from controller.console.site import OIDC, Site, see_other
from controller.identity import Conflict, UnknownPerson
from router.credentials import Issuer

LASTS = 600.0  # seconds for a person to sign in at the provider
CALLBACK = "/oidc/callback"
SCOPE = "openid profile email"
REFRESH_EVERY = 300.0  # seconds between two looks at the provider's keys, for those who never come by here
RETRY_FIRST, RETRY_LAST = 5.0, 60.0  # seconds until the provider is asked again that did not answer

log = logging.getLogger(__name__)


class OidcSignIn:
    """The pages of /oidc."""

    def __init__(self, site: Site, settings: OidcSettings) -> None:
        self._site = site
        self._provider = Provider(settings, site.now, self._publish)
        self._oidc = settings.oidc
        self._home = site.control.settings.home

    @property
    def routes(self) -> list[Route]:
        """Give the paths."""
        return [
            Route("/oidc/start", self.start, methods=["GET"]),
            Route(CALLBACK, self.callback, methods=["GET"]),
        ]

    async def start(self, request: Request) -> Response:
        """Send a browser to the provider."""
        destination = read_destination(request.query_params)
        try:
            description = await self._provider.description()
        except ProviderFailure as failure:
            return self._problem(502, str(failure))
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code", "client_id": self._oidc.client_id, "scope": SCOPE, "state": state, "nonce": nonce,
            "redirect_uri": self._site.origin + CALLBACK, "code_challenge_method": "S256",
            "code_challenge": _challenge(verifier),
        }  # fmt: skip
        joint = "&" if "?" in description.authorization_endpoint else "?"
        answer = see_other(f"{description.authorization_endpoint}{joint}{urlencode(query)}")
        transaction = {"is": state, "nonce": nonce, "verifier": verifier, **(destination.fields if destination else {})}
        self._site.keep(answer, OIDC, self._site.seal("oidc", transaction, self._site.now() + LASTS), LASTS)
        return answer

    async def callback(self, request: Request) -> Response:
        """Take a browser back from the provider."""
        answer = await self._judge(request)
        self._site.drop(answer, OIDC)
        return answer

    async def tend(self) -> None:
        """Look for new keys until the controller ends, so that the gateways know them before a token comes by that
        they signed.
        """
        ending = self._site.control.ending
        kept = await trio.to_thread.run_sync(recall, self._home, self._oidc.issuer)
        if kept:
            self._site.people.put_issuer(self._issuer(kept))
        pause = RETRY_FIRST
        while not ending.is_set():
            try:
                await self._provider.refresh()
                pause = RETRY_FIRST
                wait = REFRESH_EVERY
            except ProviderFailure as failure:
                log.warning("oidc: the keys of %s: %s; asked again in %.0f s", self._oidc.issuer, failure, pause)
                wait, pause = pause, min(pause * 2, RETRY_LAST)
            with trio.move_on_after(wait):
                await ending.wait()

    async def _judge(self, request: Request) -> Response:
        site, query = self._site, request.query_params
        begun = site.unseal("oidc", request.cookies.get(OIDC, ""))
        if begun is None or not hmac.compare_digest(begun["is"].encode(), query.get("state", "").encode()):
            return self._problem(403, "This sign-in was begun too long ago, in another window, or in another browser.")
        if query.get("iss", self._oidc.issuer) != self._oidc.issuer:
            return self._problem(403, "The answer is from another provider.")
        if "error" in query:
            return self._problem(403, _told(query))
        try:
            if (await self._provider.description()).names_itself and "iss" not in query:
                return self._problem(403, "The answer does not say which provider it is from.")
            callback = site.origin + CALLBACK
            claims = await self._provider.exchange(query.get("code", ""), begun["verifier"], callback, begun["nonce"])
            return await self._welcome(request, begun, claims)
        except ProviderFailure as failure:
            return self._problem(502, str(failure))
        except BadToken as error:
            log.warning("oidc: a token of %s is not believed: %s", self._oidc.issuer, error)
            return self._problem(403, f"What it says about you is not believed: {error}.")

    async def _welcome(self, request: Request, begun: Record, claims: Claims) -> Response:
        site, browser = self._site, self._site.browser(request)
        try:
            person = await site.people.person_of_subject(
                self._oidc.issuer, claims["sub"], claims, address=browser.address
            )
        except UnknownPerson:
            return self._problem(403, "It knows you, and Podgate does not. Ask an administrator to let you in.")
        except Conflict as conflict:
            return self._problem(403, f"{conflict}.")
        destination = read_destination({name: begun[name] for name in FIELDS if name in begun})
        return await signed_in(site, browser, person, destination)

    async def _publish(self, keys: tuple[WebKey, ...]) -> None:
        """Let the gateways take the provider's tokens; who is who there they learn from `controller.people`."""
        self._site.people.put_issuer(self._issuer(keys))
        await trio.to_thread.run_sync(remember, self._home, self._oidc.issuer, keys)

    def _issuer(self, keys: tuple[WebKey, ...]) -> Issuer:
        return Issuer(self._oidc.issuer, self._oidc.client_id, keys)

    def _problem(self, status: int, text: str) -> Response:
        name = self._site.provider
        return self._site.error(
            status, f"Signing in with {name} failed", text, "Nothing was changed.", "/sign-in", "Try again"
        )


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _told(query: Mapping[str, str]) -> str:
    error = query["error"][:80]
    if error == "access_denied":
        return "It says that signing in was refused, by you or by its rules."
    if error in ("temporarily_unavailable", "server_error"):
        return "It has a failure of its own. Try again later."
    return f"It says: {error}."
