"""A real OpenID provider (pyop) behind real HTTPS on this machine, and a console that knows it."""

import json
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.controller.console.conftest import ORIGIN, Place, placed
from tests.webserver import Answer, handler

CLIENT = {
    "client_secret": "a secret of ours",
    "redirect_uris": [f"{ORIGIN}/oidc/callback"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_basic",
}
Sign = Callable[["Provider", dict[str, Any]], str]


@cache
def rsa_key(_name: str) -> bytes:
    """Give the key of a name, the same to every test: to make one takes a moment."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@dataclass
class Provider:
    """What a test may change of the provider while it runs."""

    issuer: str
    pem: bytes
    user: str = "u-zoe"
    sign: Sign | None = None  # makes another ID token of the claims of the real one
    error: str = ""  # answered instead of a code
    about: dict[str, Any] = field(default_factory=dict)  # what its userinfo says otherwise
    away: bool = False
    hidden: bool = False  # shows no keys
    asked: list[str] = field(default_factory=list)
    real: Any = None

    def rotate(self, kid: str, *, shown: bool = True) -> None:
        """Sign with a new key from now on."""
        pyop_keys = _modules()["jwk"]
        self.pem = rsa_key(kid)
        key = pyop_keys.RSAKey(key=_modules()["rsa"].importKey(self.pem), kid=kid, use="sig", alg="RS256")
        self.real.signing_key = key
        self.hidden = not shown

    def answer(self, method: str, target: str, body: str, headers: dict[str, str]) -> Answer:
        """Answer one request by the real provider, without its warnings."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._answer(method, target, body, headers)

    def _answer(self, method: str, target: str, body: str, headers: dict[str, str]) -> Answer:
        path, _, query = target.partition("?")
        self.asked.append(path)
        if self.away:
            return 503, {}, ""
        if path == "/.well-known/openid-configuration":
            return 200, {}, json.dumps(self.real.provider_configuration.to_dict())
        if path == "/jwks":
            return 200, {}, json.dumps({"keys": []} if self.hidden else self.real.jwks)
        if path == "/authorize":
            return 303, {"location": self._authorized(query)}, ""
        if path == "/token" and method == "POST":
            return self._token(body, headers)
        if path == "/userinfo":
            return 200, {}, json.dumps({**self.real.handle_userinfo_request("", headers).to_dict(), **self.about})
        return 404, {}, ""

    def _authorized(self, query: str) -> str:
        request = self.real.parse_authentication_request(query)
        if self.error:
            return f"{request['redirect_uri']}?error={self.error}&state={request['state']}"
        return str(self.real.authorize(request, self.user).request(request["redirect_uri"]))

    def _token(self, body: str, headers: dict[str, str]) -> Answer:
        try:
            document = self.real.handle_token_request(body, headers).to_dict()
        except _modules()["errors"].OAuthError as error:
            return 400, {}, json.dumps({"error": error.oauth_error})
        if self.sign is not None:
            claims = jwt.decode(document["id_token"], options={"verify_signature": False})
            document["id_token"] = self.sign(self, claims)
        return 200, {}, json.dumps(document)


def _modules() -> dict[str, Any]:
    """Import the provider without its warnings: they are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "provider": pytest.importorskip("pyop.provider"),
            "state": pytest.importorskip("pyop.authz_state"),
            "subjects": pytest.importorskip("pyop.subject_identifier"),
            "userinfo": pytest.importorskip("pyop.userinfo"),
            "errors": pytest.importorskip("pyop.exceptions"),
            "jwk": pytest.importorskip("jwkest.jwk"),
            "rsa": pytest.importorskip("Cryptodome.PublicKey.RSA"),
        }


@pytest.fixture
def provider(ca: trustme.CA) -> Iterator[Provider]:
    modules = _modules()
    made = Provider("", b"")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made.answer))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.issuer = f"https://localhost:{server.server_port}"
    configuration = {
        "issuer": made.issuer,
        "authorization_endpoint": f"{made.issuer}/authorize",
        "token_endpoint": f"{made.issuer}/token",
        "userinfo_endpoint": f"{made.issuer}/userinfo",
        "jwks_uri": f"{made.issuer}/jwks",
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email"],
        "response_types_supported": ["code"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }
    people = {
        "u-zoe": {"sub": "s-zoe", "preferred_username": "zoe", "email": "zoe@example.org"},
        "u-al": {"sub": "s-al", "preferred_username": "alice", "email": "al@example.org"},
    }
    state = modules["state"].AuthorizationState(modules["subjects"].HashBasedSubjectIdentifierFactory("salt"))
    first = modules["jwk"].RSAKey(key=modules["rsa"].importKey(rsa_key("k0")), kid="k0", use="sig", alg="RS256")
    userinfo = modules["userinfo"].Userinfo(people)
    made.real = modules["provider"].Provider(first, configuration, state, {"podgate": CLIENT}, userinfo)
    made.rotate("k1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Joint:
    """A console with its provider, and the ways of a browser between the two."""

    place: Place
    provider: Provider
    trust: ssl.SSLContext
    browser: httpx.AsyncClient

    async def start(self, **destination: str) -> httpx.Response:
        """Go to the console and on to the provider; give where the provider sends the browser."""
        answer = await self.browser.get("/oidc/start", params=destination)
        assert answer.status_code == 303, answer.text
        async with httpx.AsyncClient(verify=self.trust) as at_provider:
            return await at_provider.get(answer.headers["location"])

    async def back(self, answer: httpx.Response) -> httpx.Response:
        """Come back to the console."""
        url = urlsplit(answer.headers["location"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ORIGIN}/oidc/callback"
        return await self.browser.get("/oidc/callback", params=dict(parse_qsl(url.query)))

    async def sign_in(self, **destination: str) -> httpx.Response:
        """All of it."""
        return await self.back(await self.start(**destination))


@pytest.fixture
async def joint(tmp_path: Path, ca: trustme.CA, provider: Provider) -> AsyncIterator[Joint]:
    secret, pem = tmp_path / "secret", tmp_path / "ca.pem"
    secret.write_text("a secret of ours\n")
    ca.cert_pem.write_to_path(str(pem))
    environ = {
        "PODGATE_OIDC_ISSUER": provider.issuer,
        "PODGATE_OIDC_CLIENT_ID": "podgate",
        "PODGATE_OIDC_CLIENT_SECRET_FILE": str(secret),
        "PODGATE_OIDC_NAME": "the lab's own",
        "PODGATE_OIDC_CREATE": "1",
        "PODGATE_OIDC_CA": str(pem),
    }
    trust = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())
    from controller.console.oidc.settings import oidc_of_environment

    oidc = oidc_of_environment(environ)
    async with placed(tmp_path, environ, oidc=oidc) as place, place.browser() as browser:
        yield Joint(place, provider, trust, browser)
