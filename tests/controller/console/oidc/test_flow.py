"""Signing in at a real provider, and what must not work there."""

import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest

from router.credentials import Issuer
from tests.controller.console.conftest import PASSWORD, wanted
from tests.controller.console.oidc.conftest import Joint, Provider, rsa_key

COOKIE = "__Host-podgate-console"


def issuers(joint: Joint) -> list[Issuer]:
    records = joint.place.control.feed._records.values()
    return [record for kept in records for record in kept.values() if isinstance(record, Issuer)]


async def test_the_whole_way(joint: Joint) -> None:
    await joint.place.pod("app", owner="zoe")
    page = await joint.browser.get("/sign-in", params=wanted(path="/deep"))
    assert "Continue with the lab&#39;s own" in page.text
    _, ticket = joint.place.ticket(await joint.sign_in(**wanted(path="/deep")))
    assert (ticket.user, ticket.path) == ("zoe", "/deep")
    assert "Signed in as <strong>zoe</strong>" in (await joint.browser.get("/")).text
    [issuer] = issuers(joint)
    assert (issuer.issuer, issuer.audience) == (joint.provider.issuer, "podgate")
    assert dict(issuer.users) == {"s-zoe": "zoe"}
    assert [key["kid"] for key in issuer.keys] == ["k1"]
    assert set(issuer.keys[0]) == {"kty", "kid", "use", "alg", "n", "e"}
    again = await joint.sign_in()
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert sorted(person.name for person in joint.place.people) == ["admin", "alice", "bob", "zoe"]


async def test_what_the_provider_is_told(joint: Joint) -> None:
    answer = await joint.browser.get("/oidc/start")
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3
    assert all(len(query[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    assert "podgate_secret" not in answer.headers["location"]


async def test_an_equal_name_is_not_the_same_person(joint: Joint) -> None:
    joint.provider.user = "u-al"
    answer = await joint.sign_in()
    assert answer.status_code == 303
    [user] = [person.name for person in joint.place.people if person.subjects]
    assert user != "alice"
    assert await joint.place.people.check_password("alice", PASSWORD) is not None


async def test_names_are_of_whom_the_token_is(joint: Joint) -> None:
    joint.provider.about = {"sub": "s-al"}
    assert (await joint.sign_in()).status_code == 403
    joint.provider.sign = signed({"preferred_username": "zoe2"})
    assert (await joint.sign_in()).status_code == 303
    assert joint.provider.asked.count("/userinfo") == 1, "not asked when the token says it"


async def test_new_keys_are_fetched_when_they_sign(joint: Joint) -> None:
    assert (await joint.sign_in()).status_code == 303
    joint.provider.rotate("k2")
    early = await joint.sign_in()
    assert (early.status_code, "does not show" in early.text) == (403, True), "not twice a minute"
    joint.place.clock.ahead += 61.0
    assert (await joint.sign_in()).status_code == 303
    assert [key["kid"] for key in issuers(joint)[0].keys] == ["k2"]
    asked = joint.provider.asked.count("/jwks")
    assert (await joint.sign_in()).status_code == 303
    assert joint.provider.asked.count("/jwks") == asked == 2


async def test_a_key_the_provider_does_not_show_signs_nothing(joint: Joint) -> None:
    joint.provider.rotate("k9", shown=False)
    assert (await joint.sign_in()).status_code == 403


def signed(change: dict[str, Any], **how: Any) -> Callable[[Provider, dict[str, Any]], str]:
    def sign(provider: Provider, claims: dict[str, Any]) -> str:
        claims = {name: value for name, value in {**claims, **change}.items() if value is not None}
        key = how.get("key", provider.pem)
        return jwt.encode(claims, key, how.get("alg", "RS256"), {"kid": how.get("kid", "k1")})

    return sign


def unsigned(_provider: Provider, claims: dict[str, Any]) -> str:
    parts = [{"alg": "none", "kid": "k1"}, claims]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), ""])


NOW = time.time()
BAD = {
    "another nonce": signed({"nonce": "x" * 43}),
    "no nonce": signed({"nonce": None}),
    "a nonce that is no text": signed({"nonce": 1}),
    "for another": signed({"aud": "somebody"}),
    "for others": signed({"aud": ["somebody", "else"]}),
    "for us and others, given to nobody": signed({"aud": ["podgate", "else"]}),
    "for us, given to another": signed({"azp": "else"}),
    "no audience": signed({"aud": None}),
    "another issuer": signed({"iss": "https://evil.example"}),
    "no issuer": signed({"iss": None}),
    "expired": signed({"exp": NOW - 120}),
    "no end": signed({"exp": None}),
    "an end that is no time": signed({"exp": float(2**60)}),
    "too old": signed({"iat": NOW - 3600}),
    "of the future": signed({"iat": NOW + 3600}),
    "no beginning": signed({"iat": None}),
    "not yet": signed({"nbf": NOW + 3600}),
    "nobody": signed({"sub": None}),
    "an empty subject": signed({"sub": ""}),
    "a subject that is too long": signed({"sub": "x" * 256}),
    "another key": signed({}, key=rsa_key("another")),
    "HMAC with our secret": signed({}, key="a secret of ours, and long enough for it", alg="HS256"),
    "an algorithm we do not take": signed({}, alg="RS512"),
    "an unknown key": signed({}, kid="k7"),
    "no signature": unsigned,
    "no token": lambda _provider, _claims: "x",
    "too long": lambda _provider, _claims: "x" * 70_000 + ".a.b",
}


@pytest.mark.parametrize("sign", BAD.values(), ids=BAD)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_token_that_is_not_believed(joint: Joint, sign: Callable[[Provider, dict[str, Any]], str]) -> None:
    joint.provider.sign = sign
    answer = await joint.sign_in()
    assert answer.status_code == 403, answer.text
    assert "is not believed" in answer.text
    assert COOKIE not in joint.browser.cookies
    assert joint.place.people.find("zoe") is None
    joint.provider.sign = signed({"iat": NOW - 30, "exp": time.time() - 30})
    assert (await joint.sign_in()).status_code == 303, "clocks may differ by a minute"


async def test_a_way_back_is_good_once(joint: Joint) -> None:
    answer = await joint.start()
    assert (await joint.back(answer)).status_code == 303
    joint.browser.cookies.delete(COOKIE)
    again = await joint.back(answer)
    assert (again.status_code, COOKIE in joint.browser.cookies) == (403, False)


async def test_a_code_is_good_once(joint: Joint) -> None:
    first = await joint.start()
    kept = {cookie.name: cookie.value or "" for cookie in joint.browser.cookies.jar}
    await joint.back(first)
    for name, value in kept.items():
        joint.browser.cookies.set(name, value, domain="podgate.localhost")
    again = await joint.back(first)
    assert (again.status_code, "It refused" in again.text) == (502, True)


async def test_a_code_of_somebody_else_is_of_no_use(joint: Joint) -> None:
    """Neither theirs in our browser (one would be signed in as them), nor ours in theirs."""
    theirs = await joint.start()
    async with joint.place.browser() as other:
        mine = Joint(joint.place, joint.provider, joint.trust, other)
        assert (await mine.back(theirs)).status_code == 403
        own = await mine.start()
        state = dict(parse_qsl(urlsplit(own.headers["location"]).query))["state"]
        code = dict(parse_qsl(urlsplit(theirs.headers["location"]).query))["code"]
        answer = await other.get("/oidc/callback", params={"code": code, "state": state})
        assert answer.status_code == 502, "the verifier is another"
        assert COOKIE not in other.cookies


@pytest.mark.parametrize("change", [{"state": "x"}, {"state": ""}, {"state": "é"}, {"iss": "https://evil.example"}])
async def test_an_answer_that_was_changed(joint: Joint, change: dict[str, str]) -> None:
    answer = await joint.start()
    url = urlsplit(answer.headers["location"])
    query = {**dict(parse_qsl(url.query)), **change}
    back = await joint.back(httpx.Response(303, headers={"location": url._replace(query=urlencode(query)).geturl()}))
    assert (back.status_code, COOKIE in joint.browser.cookies) == (403, False)


async def test_ten_minutes_are_too_late(joint: Joint) -> None:
    answer = await joint.start()
    joint.place.clock.ahead += 601.0
    assert (await joint.back(answer)).status_code == 403


@pytest.mark.parametrize(
    ("error", "told"), [("access_denied", "was refused"), ("server_error", "Try again later"), ("<b>x", "&lt;b&gt;x")]
)
async def test_errors_of_the_provider_become_a_page(joint: Joint, error: str, told: str) -> None:
    joint.provider.error = error
    answer = await joint.sign_in()
    assert (answer.status_code, told in answer.text) == (403, True)
    assert "<b>x" not in answer.text


async def test_the_provider_may_be_away(joint: Joint, caplog: pytest.LogCaptureFixture) -> None:
    joint.provider.away = True
    assert (await joint.browser.get("/sign-in")).status_code == 200
    answer = await joint.browser.get("/oidc/start")
    assert (answer.status_code, "Signing in with the lab" in answer.text) == (502, True)
    joint.provider.away = False
    assert (await joint.browser.get("/oidc/start")).status_code == 502, "not asked again at once"
    joint.place.clock.ahead += 6.0
    assert (await joint.sign_in()).status_code == 303
    assert caplog.records


async def test_destinations_are_judged_here_too(joint: Joint) -> None:
    answer = await joint.browser.get("/oidc/start", params=wanted(path="//evil.example"))
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    away = await joint.sign_in(**wanted("evil.example"))
    assert (away.status_code, "location" in away.headers) == (404, False)


async def test_a_sign_in_takes_the_place_of_the_one_before(joint: Joint) -> None:
    await joint.sign_in()
    first = joint.browser.cookies[COOKIE]
    await joint.sign_in()
    assert joint.browser.cookies[COOKIE] != first
    assert len(joint.place.people.signins.of("zoe")) == 1


async def test_a_disabled_user_stays_out(joint: Joint) -> None:
    await joint.sign_in()
    await joint.place.people.disable("zoe")
    assert (await joint.sign_in()).status_code == 403


async def test_no_secret_is_in_a_log(joint: Joint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    joint.provider.sign = BAD["expired"]
    answer = await joint.start()
    code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
    caplog.clear()
    await joint.browser.get("/oidc/callback", params=dict(parse_qsl(urlsplit(answer.headers["location"]).query)))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("controller")]
    assert ours
    assert not any(code in line or "a secret of ours" in line for line in ours)
