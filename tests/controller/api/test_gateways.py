"""Gateways by the API: their own tokens, their names, what they say of themselves, and what an administrator sees."""

import json
from typing import Any
from urllib.parse import quote

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.peer import is_gateway
from controller import gatewaytokens
from gateway.following import Controller, ControllerFeed, Who
from router.snapshot import MOST_REJECTED, Rejected, Version
from tests.controller.api.conftest import Api, Lines
from tests.peers import DEADLINE

STREAM = "/v1/routes/stream?replica={}&instance={}&workers=2&number=3&software=1.2.3"
SAID = ("software", "instance", "epoch")
STANDING = {"workers": 2, "links": 5, "openings": 1, "draining": True, "addresses": ["10.0.0.1:443"]}


async def token_of(api: Api, name: str) -> str:
    made = await api.admin.post("/v1/gateway-tokens", json={"name": name})
    assert made.status_code == 201, made.text
    text: str = made.json()["token"]
    return text


async def version_of(lines: Lines) -> dict[str, Any]:
    """Read the first line of a stream; give the version it tells."""
    line = await lines.next()
    assert line is not None
    document = json.loads(line)
    return {"epoch": document["epoch"], "version": document["version"]}


async def ended(lines: Lines) -> None:
    """Read until there is no more."""
    with trio.fail_after(DEADLINE):
        while await lines.next() is not None:
            pass


async def gateways(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.admin.get("/v1/gateways")).json()["gateways"]
    return found


async def test_what_a_gateway_says_of_itself_is_shown(api: Api) -> None:
    assert await gateways(api) == []
    token = await token_of(api, "berlin")
    async with api.lines(STREAM.format("berlin-1", "a"), token) as lines, api.caller(token) as berlin:
        version = await version_of(lines)
        (found,) = await gateways(api)
        assert (found["current"], found["lag_versions"], found["links"]) == (False, version["version"], 0)
        acknowledged = await berlin.post("/v1/routes/ack", json={"replica": "berlin-1", **version})
        told = await berlin.post("/v1/routes/standing", json={"replica": "berlin-1", **STANDING})
        assert (acknowledged.status_code, told.status_code) == (204, 204)
        (found,) = await gateways(api)
        assert found.pop("since")
        assert found == {
            "replica": "berlin-1", **version, "current": True, "lag_versions": 0, "lag_seconds": 0.0, "workers": 2,
            "rejected": [], "links": 5, "openings": 1, "draining": True, "address": "local",
            "listens": ["10.0.0.1:443"], "number": 3, "software": "1.2.3",
        }  # fmt: skip
        await api.create()
        with trio.fail_after(DEADLINE):
            while not (await gateways(api))[0]["lag_versions"]:
                await trio.lowlevel.checkpoint()
    with trio.fail_after(DEADLINE):
        while await gateways(api):
            await trio.lowlevel.checkpoint()


async def test_a_gateways_token_opens_its_own_name_and_nothing_else(api: Api) -> None:
    token = await token_of(api, "berlin")
    async with api.caller(token) as berlin:
        for path, body in (
            ("ack", {"epoch": "e", "version": 1}),
            ("standing", STANDING),
            ("audit", {"entries": []}),
        ):
            refused = await berlin.post(f"/v1/routes/{path}", json={"replica": "paris", **body})
            assert (refused.status_code, "gateways named 'berlin'" in refused.json()["detail"]) == (403, True)
        refused = await berlin.get(STREAM.format("paris", "a"))
        assert (refused.status_code, "not for 'paris'" in refused.json()["detail"]) == (403, True)
        for path in ("/v1/pods", "/v1/status", "/v1/gateways", "/v1/gateway-tokens", "/v1/users"):
            assert (await berlin.get(path)).status_code == 403


async def test_two_with_one_name_are_told_so(api: Api) -> None:
    async with api.lines(STREAM.format("berlin", "a")) as first:
        await first.next()
        refused = await api.gateway.get(STREAM.format("berlin", "b"))
        assert refused.status_code == 409
        assert "another gateway named 'berlin' is live" in refused.json()["detail"]
        async with api.lines(STREAM.format("berlin", "a")) as again:  # it lost its connection, and comes back
            await again.next()
            await ended(first)
            assert len(await gateways(api)) == 1


async def test_a_revoked_token_ends_its_stream_and_opens_nothing(api: Api) -> None:
    token, other = await token_of(api, "berlin"), await token_of(api, "paris")
    assert (await api.admin.get("/v1/gateway-tokens")).json() == {"names": ["berlin", "paris"]}
    async with (
        api.lines(STREAM.format("berlin", "a"), token) as lines,
        api.lines(STREAM.format("paris", "a"), other) as staying,
    ):
        await lines.next()
        await staying.next()
        assert (await api.admin.delete("/v1/gateway-tokens/berlin")).status_code == 204
        await ended(lines)
        with trio.fail_after(DEADLINE):
            while len(await gateways(api)) > 1:
                await trio.lowlevel.checkpoint()
        assert [gateway["replica"] for gateway in await gateways(api)] == ["paris"]
    async with api.caller(token) as berlin:
        assert (await berlin.get(STREAM.format("berlin", "a"))).status_code == 401
        for path in ("ack", "standing", "audit", "certificate"):
            assert (await berlin.post(f"/v1/routes/{path}", json={"replica": "berlin"})).status_code == 401
    assert (await api.admin.delete("/v1/gateway-tokens/berlin")).status_code == 404
    assert (await api.admin.get("/v1/gateway-tokens")).json() == {"names": ["paris"]}


async def test_a_name_has_one_token_at_a_time_and_both_deeds_are_written_down(api: Api) -> None:
    first = await token_of(api, "berlin")
    taken = await api.admin.post("/v1/gateway-tokens", json={"name": "berlin"})
    assert (taken.status_code, "has a token already" in taken.json()["detail"]) == (409, True)
    await api.admin.delete("/v1/gateway-tokens/berlin")
    assert await token_of(api, "berlin") != first
    written = [(entry["who"], entry["what"], entry["detail"]) for entry in await api.audit()]
    assert written[:3] == [
        ("admin", "create gateway token", "berlin"),
        ("admin", "revoke gateway token", "berlin"),
        ("admin", "create gateway token", "berlin"),
    ]
    assert first not in str(await api.audit())


async def test_a_bad_name_is_told(api: Api) -> None:
    for name in ("", "Berlin", "a b", "-a", "x" * 64):
        refused = await api.admin.post("/v1/gateway-tokens", json={"name": name})
        assert (refused.status_code, "expected at most 63" in refused.json()["detail"]) == (422, True)


@pytest.mark.parametrize(("first", "second"), [("berlin", "berlin-2"), ("berlin-2", "berlin")])
async def test_no_token_speaks_for_a_gateway_that_has_another(api: Api, first: str, second: str) -> None:
    """It could end that one's stream, and acknowledge for it."""
    await token_of(api, first)
    refused = await api.admin.post("/v1/gateway-tokens", json={"name": second})
    assert (refused.status_code, "a token of 'berlin' speaks for 'berlin-2'" in refused.json()["detail"]) == (409, True)
    await token_of(api, "berlin2")


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\x9b", "\n", "\u202e"])
async def test_what_a_gateway_says_of_itself_can_be_stored_and_shown(api: Api, letter: str) -> None:
    """A NUL would keep replicas of the controller from telling each other of all gateways, and ESC moves a cursor."""
    word, there = f"berlin-{letter}", quote(letter)
    token = await token_of(api, "berlin")
    async with api.caller(token) as berlin:
        with trio.fail_after(10):  # a stream that is not refused does not end
            for query in (f"replica=berlin-{there}", *(f"replica=berlin&{each}={there}" for each in SAID)):
                assert (await berlin.get(f"/v1/routes/stream?{query}")).status_code == 422
        for path, body in (
            ("ack", {"replica": word, "epoch": "e", "version": 1}),
            ("ack", {"replica": "berlin", "epoch": letter, "version": 1}),
            ("standing", {"replica": word, **STANDING}),
            ("standing", {"replica": "berlin", **STANDING, "addresses": [letter]}),
            ("audit", {"replica": word, "entries": []}),
            ("certificate", {"replica": word, "csr": ""}),
        ):
            refused = await berlin.post(f"/v1/routes/{path}", json=body)
            assert (refused.status_code, "that can be shown" in refused.json()["detail"]) == (422, True), path


async def test_a_gateway_that_can_use_next_to_nothing_is_heard_all_the_same(api: Api) -> None:
    """One of an older version may have to refuse every route."""
    own = Controller("http://controller", api.settings.home / "gateway.token", api.settings.socket)
    feed, (send, receive) = ControllerFeed(own, Who("one", 1)), trio.open_memory_channel[Any](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.follow, send)
        document = await receive.receive()
        refused = [Rejected(f"{number}.{'x' * 400}", "why" * 1000) for number in range(2 * MOST_REJECTED)]
        await feed.acknowledge(Version(document["epoch"], document["version"]), refused)
        (found,) = await gateways(api)
        assert (found["current"], len(found["rejected"])) == (True, MOST_REJECTED)
        nursery.cancel_scope.cancel()
    await feed.aclose()


async def test_there_are_no_more_tokens_than_may_be(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatewaytokens, "MOST_TOKENS", 3)
    for number in range(3):
        await token_of(api, f"g{number}")
    refused = await api.admin.post("/v1/gateway-tokens", json={"name": "one-more"})
    assert (refused.status_code, "revoke some first" in refused.json()["detail"]) == (409, True)


async def test_word_of_one_that_does_not_follow_is_refused(api: Api) -> None:
    refused = await api.gateway.post("/v1/routes/standing", json={"replica": "none", **STANDING})
    assert (refused.status_code, "no open stream" in refused.json()["detail"]) == (409, True)


async def test_a_gateway_elsewhere_has_its_own_key_signed(api: Api) -> None:
    token, key = await token_of(api, "berlin"), ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    body = {"replica": "berlin-1", "csr": csr.public_bytes(serialization.Encoding.PEM).decode()}
    async with api.caller(token) as berlin:
        signed = await berlin.post("/v1/routes/certificate", json=body)
        assert signed.status_code == 201, signed.text
        pods, peer, ca = (
            x509.load_pem_x509_certificate(signed.json()[part].encode()) for part in ("certificate", "peer", "ca")
        )
        for each in (pods, peer):
            each.verify_directly_issued_by(ca)
            assert each.public_key() == key.public_key()
        names = pods.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["*.pods.localhost", "pods.localhost"]
        assert is_gateway(peer)
        refused = await berlin.post("/v1/routes/certificate", json={**body, "replica": "paris"})
        assert refused.status_code == 403
    (entry, *_) = await api.audit()
    assert (entry["who"], entry["what"], entry["detail"]) == (
        "gateway:berlin", "sign gateway certificates", "for berlin-1",
    )  # fmt: skip
