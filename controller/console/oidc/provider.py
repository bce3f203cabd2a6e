"""Provider: where it is, which keys it signs with now, and who a code stands for.

It is asked when it is needed: the controller serves while it is away. Its keys change without notice; a token signed by
one we do not know has them fetched again, at most once a minute.
"""

import base64
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import trio

from controller.console.oidc.settings import OidcSettings, check_url
from controller.console.oidc.tokens import (
    BadToken,
    Claims,
    Expected,
    Header,
    WebKey,
    believe,
    find_key,
    read_header,
    usable_keys,
)
from controller.settings import SettingsProblem

KNOWN_FOR = 3600.0  # seconds until the provider's description is fetched again
ASK_AGAIN = 60.0  # seconds between two fetches of the keys
TRY_AGAIN = 5.0  # seconds between two tries after a failed one
ANSWER_LIMIT = 10.0  # seconds for any answer of the provider
NAMED_BY = {"preferred_username", "email"}  # claims a user's name is made from
LARGEST_ANSWER = 256 * 1024  # bytes

log = logging.getLogger(__name__)


class ProviderFailure(Exception):
    """The provider cannot be used now, or refused; the text is for people and for the log."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the provider says about itself (OpenID Connect Discovery 1.0, section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str  # empty: it has none
    takes_basic: bool  # our secret as HTTP basic authentication
    names_itself: bool  # in what it sends browsers back with (RFC 9207)


class Provider:
    """One provider. `keys_changed` is awaited with the keys whenever they are other than before."""

    def __init__(
        self,
        settings: OidcSettings,
        now: Callable[[], float],
        keys_changed: Callable[[tuple[WebKey, ...]], Awaitable[None]],
    ) -> None:
        self.settings = settings
        self.keys: tuple[WebKey, ...] = ()
        self._now = now
        self._keys_changed = keys_changed
        self._asking = trio.Lock()
        self._description: Description | None = None
        self._described_at = self._failed_at = self._keys_at = float("-inf")

    async def description(self) -> Description:
        """Give what the provider says about itself. Raises ProviderFailure."""
        async with self._asking:
            now = self._now()
            if self._description is None or now - self._described_at > KNOWN_FOR:
                if now - self._failed_at < TRY_AGAIN:
                    raise ProviderFailure("It could not be reached a moment ago.")
                try:
                    found = _read_description(await self._get(self._well_known()), self.settings.oidc.issuer)
                except ProviderFailure:
                    self._failed_at = now
                    raise
                self._description, self._described_at = found, now
            return self._description

    async def exchange(self, code: str, verifier: str, redirect_uri: str, nonce: str) -> Claims:
        """Learn who a code stands for. Raises ProviderFailure and BadToken."""
        description = await self.description()
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        answer = await self._post(description, {**fields, "code_verifier": verifier})
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderFailure("It did not say who you are.")
        header = read_header(token)
        key = await self._key(header)
        expected = Expected(self.settings.oidc.issuer, self.settings.oidc.client_id, nonce)
        claims = believe(token, header, key, expected, self._now())
        return {**await self._more(description, claims, answer.get("access_token")), **claims}

    async def _more(self, description: Description, claims: Claims, access_token: object) -> Claims:
        """Ask for the name and the address of somebody whose token holds neither (OpenID Connect Core 1.0, 5.3)."""
        url = description.userinfo_endpoint
        if NAMED_BY & claims.keys() or not url or not isinstance(access_token, str) or not access_token.isascii():
            return {}
        headers = {"accept": "application/json", "authorization": f"Bearer {access_token}"}
        found = await self._ask(httpx.Request("GET", url, headers=headers))
        if found.get("sub") != claims["sub"]:
            raise BadToken("it is not of whom the provider speaks then")
        return found

    async def refresh(self) -> None:
        """Fetch the keys, unless that was done a moment ago. Raises ProviderFailure."""
        description = await self.description()
        async with self._asking:
            now = self._now()
            if now - self._keys_at < ASK_AGAIN:
                return
            keys = usable_keys(await self._get(description.jwks_uri))
            self._keys_at = now
        if keys != self.keys:
            self.keys = keys
            await self._keys_changed(keys)

    async def _key(self, header: Header) -> WebKey:
        key = find_key(self.keys, header)
        if key is None:
            await self.refresh()
            key = find_key(self.keys, header)
        if key is None:
            raise BadToken("it is signed with a key that the provider does not show")
        return key

    def _well_known(self) -> str:
        return self.settings.oidc.issuer.rstrip("/") + "/.well-known/openid-configuration"

    async def _get(self, url: str) -> Mapping[str, Any]:
        return await self._ask(httpx.Request("GET", url, headers={"accept": "application/json"}))

    async def _post(self, description: Description, fields: Mapping[str, str]) -> Mapping[str, Any]:
        oidc, headers = self.settings.oidc, {"accept": "application/json"}
        if oidc.client_secret and description.takes_basic:
            headers["authorization"] = _basic(oidc.client_id, oidc.client_secret)
        else:
            fields = {**fields, "client_id": oidc.client_id}
            if oidc.client_secret:
                fields = {**fields, "client_secret": oidc.client_secret}
        return await self._ask(httpx.Request("POST", description.token_endpoint, headers=headers, data=fields))

    async def _ask(self, request: httpx.Request) -> Mapping[str, Any]:
        try:
            with trio.fail_after(ANSWER_LIMIT):
                async with httpx.AsyncClient(verify=self._trust(), trust_env=False, timeout=ANSWER_LIMIT) as client:
                    answer = await client.send(request, stream=True)
                    body = await _body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, trio.TooSlowError) as error:
            log.warning(
                "oidc: %s %s: %s: %s", request.method, request.url.copy_with(query=None), type(error).__name__, error
            )
            raise ProviderFailure("It cannot be reached.") from error
        return _judged(request, answer, body)

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ProviderFailure("Its answer is too long.")
    return bytes(body)


def _judged(request: httpx.Request, answer: httpx.Response, body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if answer.status_code != httpx.codes.OK:
        error = document.get("error") if isinstance(document, Mapping) else None
        told = f" ({error[:80]!r})" if isinstance(error, str) else ""
        log.warning("oidc: %s answered %d%s", request.url.copy_with(query=None), answer.status_code, told)
        raise ProviderFailure(f"It refused: status {answer.status_code}{told}.")
    if not isinstance(document, Mapping):
        raise ProviderFailure("Its answer cannot be read.")
    return document


def _basic(client_id: str, secret: str) -> str:
    """Both are form-encoded first (RFC 6749, section 2.3.1), a space as %20: some providers take no `+` for one."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"


def _read_description(document: Mapping[str, Any], issuer: str) -> Description:
    if document.get("issuer") != issuer:
        raise ProviderFailure("It says it is another issuer; its URL in PODGATE_OIDC_ISSUER must be exactly its own.")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Description(
        authorization_endpoint=_url(document, "authorization_endpoint"),
        token_endpoint=_url(document, "token_endpoint"),
        jwks_uri=_url(document, "jwks_uri"),
        userinfo_endpoint=_url(document, "userinfo_endpoint") if "userinfo_endpoint" in document else "",
        takes_basic="client_secret_basic" in methods if isinstance(methods, list) else True,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _url(document: Mapping[str, Any], name: str) -> str:
    url = document.get(name)
    url = url if isinstance(url, str) else ""
    try:
        check_url(url, name)
    except SettingsProblem as error:
        raise ProviderFailure(f"Its description cannot be used: {error}.") from None
    return url
