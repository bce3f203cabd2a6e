"""People whom a provider of identities knows: they sign in there by browser, and their programs show its tokens.

One authority vouches for Podgate and for the provider, as in a lab with its own. Podgate looks at the provider's keys
more often here than the five minutes of everyday.
"""

import base64
import json
import re
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import expect

from certs.authority import Authority
from tests.running import PATIENCE, Podgate, needs_resolver
from tests.scenarios.api import call, share
from tests.scenarios.apps import App, app
from tests.scenarios.browser import chromium, needs_chromium, person, picture
from tests.scenarios.openid import CLIENT_ID, SECRET, Key, OpenIdProvider, openid_provider
from tests.scenarios.people import Curl, console

pytestmark = needs_resolver
IN, WHO, NO = 200, 401, 403  # let in; say who you are; known, and not enough
COOKIE = "__Host-podgate"
ENDPOINTS = {  # name of a pod: the level it asks for, what everyone's `read` is worth there, and zoe's level
    "public": ("public", IN, "read"),
    "read": ("read", IN, "read"),
    "write": ("write", NO, ""),
    "granted": ("write", IN, "write"),  # the one that zoe was given `write` on
    "manage": ("manage", NO, ""),
    "owner": ("owner", NO, ""),
}
# Python runs this in every process at its start: the controller is to look at the keys twice a second.
HASTE = """
import sys
if sys.orig_argv[2:4] == ["-m", "controller"]:
    from controller.console.oidc import flow, provider
    flow.REFRESH_EVERY, provider.ASK_AGAIN = 0.5, 0.25
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A Podgate that knows a provider, and its pods by name."""

    podgate: Podgate
    provider: OpenIdProvider
    pods: Mapping[str, App]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    podgate = Podgate(Path(tempfile.mkdtemp(prefix="pg-")), "--workers", "2")
    with (
        openid_provider(_trust(podgate.home), f"{console(podgate)}/oidc/callback", "yves", "zoe") as provider,
        pytest.MonkeyPatch.context() as environment,
    ):
        _settle(podgate, provider, environment)
        podgate.start()
        try:
            yield Place(podgate, provider, _pods(podgate))
        finally:
            podgate.stop()
            shutil.rmtree(podgate.home)


def _trust(home: Path) -> ssl.SSLContext:
    """Give the provider a certificate of the authority that Podgate is going to use."""
    leaf = Authority.open(home / "authority").issue(["localhost"], datetime.now(UTC))
    file = home / "provider.pem"
    file.write_bytes(leaf.chain_pem + leaf.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    file.unlink()
    return context


def _settle(podgate: Podgate, provider: OpenIdProvider, environment: pytest.MonkeyPatch) -> None:
    """Name the provider in the home and in the environment, as docs/sign-in.md says."""
    settings = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": SECRET, "name": "the lab's own"}
    lines = [*(f"{name} = {json.dumps(value)}" for name, value in settings.items()), "create = true"]
    (podgate.home / "oidc.toml").write_text("\n".join(lines))
    (podgate.home / "haste").mkdir()
    (podgate.home / "haste" / "sitecustomize.py").write_text(HASTE)
    environment.setenv("PYTHONPATH", str(podgate.home / "haste"))
    environment.setenv("PODGATE_OIDC_CA", str(podgate.ca))


def _pods(podgate: Podgate) -> dict[str, App]:
    def make(name: str) -> App:
        made = app(podgate, f"web-{name}", ENDPOINTS[name][0])
        call(podgate, "PUT", f"pods/{made.name}/grants/everyone", level="read")
        return made

    first, *others = ENDPOINTS  # the first puts the app where the others find it
    made = make(first)
    with ThreadPoolExecutor(3) as side_by_side:
        return {first: made, **dict(zip(others, side_by_side.map(make, others), strict=True))}


def users(podgate: Podgate) -> set[str]:
    return {user["name"] for user in call(podgate, "GET", "users")["users"]}


# ---- a browser


@needs_chromium
def test_a_stranger_signs_in_at_the_provider_and_out(place: Place, tmp_path: Path) -> None:
    podgate, provider, notes = place.podgate, place.provider, place.pods["read"]
    notes.forget()
    assert "yves" not in users(podgate)
    with chromium(podgate.ca) as browser, person(browser) as somebody:
        page = somebody.new_page()
        page.goto(f"{notes.origin}/?a=b#c")
        expect(page.get_by_role("heading")).to_have_text("Sign in")
        picture(page, "sign-in-with-provider")
        page.get_by_role("link", name="Continue with the lab's own").click()
        expect(page).to_have_url(re.compile(re.escape(f"{provider.issuer}/authorize?")))
        assert notes.received() == []

        page.get_by_role("button", name="yves").click()
        expect(page).to_have_url(re.compile(re.escape(f"{notes.origin}/?a=b")))
        expect(page.locator("#socket")).to_have_text("hello")
        expect(page.locator("#headers")).to_contain_text("Host")
        shown = {name.lower(): value for name, value in json.loads(page.inner_text("#headers"))}
        assert (shown["x-podgate-user"], shown["x-podgate-level"]) == ("yves", "read")
        assert "yves" in users(podgate)
        assert not any(provider.issued[-1] in str(request) for request in notes.received())
        assert all(request.all("x-podgate-user") == ["yves"] for request in notes.received())

        [session] = [cookie["value"] for cookie in somebody.cookies(notes.origin) if cookie["name"] == COOKIE]
        replay = ("--header", f"Cookie: {COOKIE}={session}")
        curl = Curl(podgate, tmp_path / "jar")
        assert curl.ask(f"{notes.origin}/headers", *replay)[0] == IN
        page.goto(f"{notes.origin}/.podgate/sign-out")
        page.get_by_role("button", name="Sign out everywhere").click()
        expect(page.get_by_role("heading")).to_have_text("You are signed out")
        notes.forget()
        page.goto(notes.origin)
        expect(page.get_by_role("heading")).to_have_text("Sign in")
        assert curl.ask(f"{notes.origin}/headers", *replay)[0] == WHO
        assert notes.received() == []


# ---- a program with a JSON web token


@pytest.fixture(scope="module")
def zoe(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let zoe be a user, with `write` on one pod; give where her cookies are kept.

    Tokens tell times in whole seconds, and none counts that is older than its user: wait for one that is not.
    """
    jar = tmp_path_factory.mktemp("zoe") / "jar"
    sign_in(place, jar, "zoe")
    share(place.podgate, place.pods["granted"].name, "zoe", "write")
    made = time.time()
    until(lambda: claims_of(sign_in(place, jar, "zoe"))["iat"] >= made)
    return jar


@pytest.fixture
def token(place: Place, zoe: Path) -> str:
    """Sign zoe in at the provider; give the ID token it issued, which every gateway takes."""
    token = sign_in(place, zoe, "zoe")
    until(lambda: ask(place, "read", token) == IN)
    for pod in place.pods.values():
        pod.forget()
    return token


def sign_in(place: Place, jar: Path, name: str) -> str:
    """Sign in as browsers do, with curl; give the ID token that the provider issued meanwhile."""
    curl = Curl(place.podgate, jar)
    status, page = curl.open(f"{console(place.podgate)}/oidc/start")
    found = re.search(r'action="([^"]+)"', page)
    assert found, (status, page)
    status, page = curl.open(f"{place.provider.issuer}{unescape(found[1])}", "--data", f"user={name}")
    assert (status, f"Signed in as <strong>{name}</strong>" in page) == (200, True), page
    return place.provider.issued[-1]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def ask(place: Place, pod: str, token: str) -> int:
    curl = Curl(place.podgate, Path("unused"))
    return curl.ask(f"{place.pods[pod].origin}/headers", "--header", f"Authorization: Bearer {token}")[0]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that takes a while to look at."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end


def test_the_providers_token_by_levels(place: Place, token: str) -> None:
    claims = claims_of(token)
    assert (claims["iss"], claims["aud"], claims["sub"]) == (place.provider.issuer, [CLIENT_ID], "s-zoe")
    statuses = {name: ask(place, name, token) for name in ENDPOINTS}
    assert statuses == {name: status for name, (_, status, _) in ENDPOINTS.items()}
    for name, (_, status, level) in ENDPOINTS.items():
        requests = place.pods[name].received()
        assert len(requests) == (1 if status == IN else 0)
        for request in requests:
            assert (request.all("x-podgate-user"), request.all("x-podgate-level")) == (["zoe"], [level])
            assert token not in str(request)


def unsigned(header: dict[str, str], claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


Forge = Callable[[OpenIdProvider, dict[str, Any]], str]
FORGED: dict[str, Forge] = {
    "for another": lambda provider, claims: provider.sign({**claims, "aud": "somebody"}),
    "expired": lambda provider, claims: provider.sign({**claims, "exp": claims["iat"]}),
    "of nobody we know": lambda provider, claims: provider.sign({**claims, "sub": "s-nobody"}),
    "named like a user": lambda provider, claims: provider.sign({**claims, "sub": "admin"}),
    "of an unknown key": lambda _provider, claims: Key.make("k9").sign(claims),
    "of a key named like the provider's": lambda provider, claims: Key.make(provider.key.name).sign(claims),
    "without a signature": lambda provider, claims: unsigned({"alg": "none", "kid": provider.key.name}, claims),
    "without a signature or a key": lambda _provider, claims: unsigned({"alg": "none"}, claims),
    "signed with our secret": lambda provider, claims: jwt.encode(claims, SECRET, "HS256", {"kid": provider.key.name}),
    "changed": lambda provider, claims: _changed(provider.sign({**claims, "sub": "s-nobody"}), claims),
}


def _changed(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{unsigned({}, claims).split('.')[1]}.{signature}"


@pytest.mark.parametrize("name", FORGED)
def test_a_token_that_is_not_the_providers_for_us(place: Place, token: str, name: str) -> None:
    """It opens nothing, the public pod neither: whoever shows one means to be somebody."""
    claims = claims_of(token)
    assert ask(place, "granted", place.provider.sign(claims)) == IN, "so far nothing is wrong with it"
    for pod in place.pods.values():
        pod.forget()
    forged = FORGED[name](place.provider, claims)
    assert {pod: ask(place, pod, forged) for pod in ENDPOINTS} == dict.fromkeys(ENDPOINTS, WHO)
    assert not any(pod.received() for pod in place.pods.values())


def test_a_token_of_another_issuer_is_the_pods_own(place: Place, token: str) -> None:
    other = place.provider.sign({**claims_of(token), "iss": "https://elsewhere.example"})
    assert (ask(place, "public", other), ask(place, "read", other)) == (IN, WHO)
    assert [request.all("x-podgate-user") for request in place.pods["public"].received()] == [[]]


def test_the_provider_changes_its_keys(place: Place, token: str) -> None:
    provider, claims = place.provider, claims_of(token)
    new, hidden = Key.make("k2"), Key.make("k3")
    assert ask(place, "read", new.sign(claims)) == WHO, "not shown yet"

    provider.sign_with(new)
    until(lambda: ask(place, "read", new.sign(claims)) == IN)
    assert ask(place, "read", token) == IN, "it is still shown"

    provider.show_only(provider.key)
    until(lambda: ask(place, "read", token) == WHO)
    assert ask(place, "read", new.sign(claims)) == IN

    provider.wait_for_a_look()
    assert ask(place, "read", hidden.sign(claims)) == WHO, "what it does not show signs nothing"
    provider.show(hidden)
    until(lambda: ask(place, "read", hidden.sign(claims)) == IN)
    provider.show_only(provider.key)
    until(lambda: ask(place, "read", hidden.sign(claims)) == WHO)
    assert ask(place, "read", token) == WHO, "it does not come back"


def test_a_provider_that_shows_no_key_is_believed_nothing(place: Place, token: str) -> None:
    """Such as one whose keys are all of kinds that are not taken, since it gave up the one that was."""
    key = place.provider.key
    place.provider.show_only()
    until(lambda: ask(place, "read", token) == WHO)
    place.provider.show_only(key)
    until(lambda: ask(place, "read", token) == IN)
