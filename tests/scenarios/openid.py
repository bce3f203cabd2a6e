"""A provider of identities with people of its own: pyop behind HTTPS on this machine, in the test's process.

Its people have no passwords: its page asks who one is, and believes it. It signs with one key and may show several, as
providers do while they change keys.
"""

import json
import ssl
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.running import PATIENCE
from tests.webserver import Answer, handler

CLIENT_ID = "podgate"
SECRET = "a secret that Podgate and its provider share"
PAGE = """<!doctype html><html lang="en"><title>The lab</title><h1>Who are you?</h1>
<form method="post" action="{action}">{buttons}</form>"""

with warnings.catch_warnings():  # those of the provider are not ours
    warnings.simplefilter("ignore")
    _provider: Any = pytest.importorskip("pyop.provider")
    _state: Any = pytest.importorskip("pyop.authz_state")
    _subjects: Any = pytest.importorskip("pyop.subject_identifier")
    _userinfo: Any = pytest.importorskip("pyop.userinfo")
    _jwk: Any = pytest.importorskip("jwkest.jwk")
    _rsa: Any = pytest.importorskip("Cryptodome.PublicKey.RSA")


@dataclass(frozen=True)
class Key:
    """A key that signs, and its name."""

    name: str
    pem: bytes = field(repr=False)

    @classmethod
    def make(cls, name: str) -> "Key":
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return cls(name, made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self.pem, "RS256", {"kid": self.name})

    def as_of_jwkest(self) -> Any:
        return _jwk.RSAKey(key=_rsa.importKey(self.pem), kid=self.name, use="sig", alg="RS256")


class OpenIdProvider:
    """What a test sees of it, and may change while it runs."""

    def __init__(self, issuer: str, callback: str, people: tuple[str, ...]) -> None:
        self.issuer = issuer
        self.issued: list[str] = []  # the ID tokens it gave out
        self._names = people
        self._looked, self._looks = threading.Condition(), 0
        self.key = Key.make("k1")  # it signs with
        self._shown = [self.key]
        self._real = self._made(callback)
        self._description = json.dumps(self._real.provider_configuration.to_dict())

    def _made(self, callback: str) -> Any:
        configuration = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile", "email"],
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }
        client = {
            "client_secret": SECRET,
            "redirect_uris": [callback],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        people = {name: {"sub": f"s-{name}", "preferred_username": name} for name in self._names}
        state = _state.AuthorizationState(_subjects.HashBasedSubjectIdentifierFactory("salt"))
        userinfo = _userinfo.Userinfo(people)
        return _provider.Provider(self.key.as_of_jwkest(), configuration, state, {CLIENT_ID: client}, userinfo)

    # ---- its keys

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Make a token as it makes them now."""
        return self.key.sign(claims)

    def sign_with(self, key: Key) -> None:
        """Sign with another key from now on, and show it beside the others."""
        self.show(key)
        self.key, self._real.signing_key = key, key.as_of_jwkest()

    def show(self, key: Key) -> None:
        """Show a key beside the others."""
        self._shown = [*self._shown, key]

    def show_only(self, *keys: Key) -> None:
        self._shown = [*keys]

    def wait_for_a_look(self) -> None:
        """Wait until somebody has looked at its keys as they are now."""
        with self._looked:
            wanted = self._looks + 1
            assert self._looked.wait_for(lambda: self._looks >= wanted, PATIENCE), "nobody looks at its keys"

    # ---- its answers

    def answer(self, method: str, target: str, body: str, headers: Mapping[str, str]) -> Answer:
        path, _, query = target.partition("?")
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return 200, {}, self._description
            case "GET", "/jwks":
                return 200, {}, self._show_keys()
            case "GET", "/authorize":
                buttons = (f'<button name="user" value="{name}">{name}</button>' for name in self._names)
                page = PAGE.format(action=escape(target), buttons="".join(buttons))
                return 200, {"content-type": "text/html"}, page
            case "POST", "/authorize":
                request = self._real.parse_authentication_request(query)
                [user] = parse_qs(body)["user"]
                answer = self._real.authorize(request, user)
                return 303, {"location": str(answer.request(request["redirect_uri"]))}, ""
            case "POST", "/token":
                document = self._real.handle_token_request(body, headers).to_dict()
                self.issued.append(document["id_token"])
                return 200, {}, json.dumps(document)
            case "GET", "/userinfo":
                return 200, {}, json.dumps(self._real.handle_userinfo_request("", headers).to_dict())
        return 404, {}, ""

    def _show_keys(self) -> str:
        shown = [key.as_of_jwkest().serialize() for key in self._shown]
        with self._looked:
            self._looks += 1
            self._looked.notify_all()
        return json.dumps({"keys": shown})


@contextmanager
def openid_provider(trust: ssl.SSLContext, callback: str, *people: str) -> Iterator[OpenIdProvider]:
    """Run one at https://localhost that knows `people`, and sends browsers back to `callback`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    # Handshakes are for a connection's own thread: a browser opens some that it does not use yet.
    server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    provider = OpenIdProvider(f"https://localhost:{server.server_port}", callback, people)
    server.RequestHandlerClass = handler(provider.answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
