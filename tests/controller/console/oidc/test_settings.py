"""What the environment may say about a provider, and the keys and descriptions that are taken."""

from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from controller.console.oidc.settings import check_url, oidc_of_environment
from controller.console.oidc.tokens import Header, find_key, usable_keys
from controller.settings import SettingsProblem
from tests.controller.console.conftest import placed

GOOD = {"PODGATE_OIDC_ISSUER": "https://id.example", "PODGATE_OIDC_CLIENT_ID": "x"}


@pytest.mark.parametrize(
    "url",
    ["https://id.example", "https://id.example:8443/realms/a", "http://localhost:8080", "http://a.localhost/",
     "http://127.0.0.1:1", "http://[::1]:1/"],
)  # fmt: skip
def test_addresses_that_are_taken(url: str) -> None:
    check_url(url, "issuer")


@pytest.mark.parametrize(
    "url",
    ["", "id.example", "http://id.example", "http://localhost.evil.example", "https://", "ftp://localhost",
     "https://user@id.example", "https://id.example/#a", "https://id.example/\n", "https://id example",
     "https://id.example:99999", "https://ïd.example", "javascript:alert(1)"],
)  # fmt: skip
def test_addresses_that_are_not(url: str) -> None:
    with pytest.raises(SettingsProblem):
        check_url(url, "issuer")


def test_nothing_is_said() -> None:
    assert oidc_of_environment({}) is None


def test_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" abc\n")
    more = {"PODGATE_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"), "PODGATE_OIDC_CREATE": "1"}
    found = oidc_of_environment({**GOOD, **more, "PODGATE_OIDC_NAME": "Lab"})
    assert found is not None
    assert (found.issuer, found.client_id, found.client_secret) == ("https://id.example", "x", "abc")
    assert (found.create, found.name) == (True, "Lab")
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    "change",
    [{"PODGATE_OIDC_ISSUER": "http://id.example"}, {"PODGATE_OIDC_CLIENT_ID": ""}, {"PODGATE_OIDC_CREATE": "yes"},
     {"PODGATE_OIDC_CLIENT_SECRET_FILE": "/does/not/exist"}, {"PODGATE_OIDC_CLIENT_SECRET_FILE": "/dev/null"}],
)  # fmt: skip
def test_what_cannot_be_used(change: dict[str, str]) -> None:
    with pytest.raises(SettingsProblem, match="PODGATE_OIDC_"):
        oidc_of_environment({**GOOD, **change})


async def test_a_provider_that_cannot_be_used_takes_nothing_else_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {**GOOD, "PODGATE_OIDC_CA": "/does/not/exist"}
    async with placed(tmp_path, environ) as place, place.browser() as browser:
        page: httpx.Response = await browser.get("/sign-in")
        assert (page.status_code, "Continue with" in page.text) == (200, False)
    assert "PODGATE_OIDC_CA" in caplog.text


def keys() -> dict[str, dict[str, object]]:
    made = {
        "rsa": RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True),
        "weak": RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024), as_dict=True),  # noqa: S505  # it is to be refused
        "p256": ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True),
        "p384": ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()), as_dict=True),
        "ed": OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True),
    }
    return {kid: {**key, "kid": kid} for kid, key in made.items()}


def test_only_public_parts_of_good_keys_are_taken() -> None:
    found = keys()
    others: list[object] = [
        {"kty": "oct", "k": "YQ", "kid": "shared"}, {**found["rsa"], "kid": "for-encryption", "use": "enc"},
        {**found["rsa"], "kid": "hmac", "alg": "HS256"}, {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "kid": "empty"}, {"kty": ["RSA"]}, None, "x", [],
    ]  # fmt: skip
    taken = usable_keys({"keys": [*others, *found.values()]})
    assert [key["kid"] for key in taken] == ["rsa", "p256", "ed"]
    assert not any({"d", "p", "q", "k"} & key.keys() for key in taken)


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_set_of_keys(document: object) -> None:
    assert usable_keys(document) == ()


def test_a_key_is_found_by_name_and_kind() -> None:
    taken = usable_keys({"keys": list(keys().values())})
    assert (find_key(taken, Header("ES256", "p256")) or {})["kid"] == "p256"
    assert (find_key(taken, Header("EdDSA", None)) or {})["kid"] == "ed", "the only one of its kind"
    assert find_key(taken, Header("RS256", "p256")) is None
    assert find_key(taken, Header("ES256", "other")) is None
    assert find_key((*taken, *taken), Header("RS256", "rsa")) is None, "two of one name"
