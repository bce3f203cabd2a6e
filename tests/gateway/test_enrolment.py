"""Certificates of a gateway elsewhere: signed by a real authority, renewed in time, kept when nobody signs."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trio
from cryptography import x509
from trio.testing import MockClock

from certs.authority import ELSEWHERE_LIFETIME, Authority
from certs.files import CertificateProblem, load_pair
from certs.peer import is_gateway
from gateway.enrolment import LARGEST, LOOK, SOON, Enrolment, Signed, reason_of
from gateway.identity import FileIdentity
from gateway.leaves import FileLeaves

HOSTS = ("*.pods.test", "pods.test")


class Signer:
    """Signs as a controller does, while it is there."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.open(directory)
        self.requests: list[str] = []
        self.away = False

    async def __call__(self, request: str) -> Signed:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise OSError("away")
        self.requests.append(request)
        pods, peer = self.authority.sign_hosts(request.encode(), HOSTS), self.authority.sign_peer(request.encode())
        return Signed(pods.decode(), peer.decode(), self.authority.path.read_text())

    async def long_ago(self, request: str) -> Signed:
        """Sign for hosts what ends in two hours."""
        signed, begun = await self(request), datetime.now(UTC) - ELSEWHERE_LIFETIME + timedelta(hours=2)
        return Signed(self.authority.sign_hosts(request.encode(), HOSTS, begun).decode(), signed.peer, signed.ca)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "authority")


@pytest.fixture
def enrolment(tmp_path: Path) -> Enrolment:
    return Enrolment(tmp_path / "home" / "signed")


async def test_what_is_signed_serves_hosts_and_is_known_to_peers(enrolment: Enrolment, signer: Signer) -> None:
    await enrolment.begin(signer)
    leaves = FileLeaves(enrolment.certificate, enrolment.key)
    assert leaves.default().hosts == HOSTS
    assert not is_gateway(x509.load_pem_x509_certificate(leaves.default().chain_pem))
    identity, authorities = FileIdentity(enrolment.peer, enrolment.key, enrolment.ca).get(datetime.now(UTC))
    assert is_gateway(x509.load_pem_x509_certificate(identity.chain_pem))
    assert authorities == signer.authority.path.read_text()
    assert stat.S_IMODE(enrolment.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(enrolment.directory.stat().st_mode) == 0o700
    assert "PRIVATE KEY" not in "".join(signer.requests)


async def test_it_is_renewed_in_its_last_third_by_the_same_key(enrolment: Enrolment, signer: Signer) -> None:
    await enrolment.renew(signer)
    key, leaf = enrolment.key.read_bytes(), load_pair(enrolment.certificate, enrolment.key)
    await enrolment.renew(signer, leaf.not_after - ELSEWHERE_LIFETIME / 2)
    assert len(signer.requests) == 1
    await enrolment.renew(signer, leaf.not_after - ELSEWHERE_LIFETIME / 4)
    assert len(signer.requests) == 2
    assert enrolment.key.read_bytes() == key
    assert load_pair(enrolment.certificate, enrolment.key).chain_pem != leaf.chain_pem


async def test_who_has_one_starts_without_the_controller(enrolment: Enrolment, signer: Signer) -> None:
    signer.away = True
    with pytest.raises(CertificateProblem, match="there is no certificate yet, and the controller signs none: away"):
        await enrolment.begin(signer)
    signer.away = False
    await enrolment.begin(signer)
    signer.away = True
    await enrolment.begin(signer)


async def test_one_that_is_due_is_used_until_it_ends(
    enrolment: Enrolment, signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    await enrolment.renew(signer.long_ago)
    signer.away = True
    await enrolment.begin(signer)
    assert "the controller signs none now: away; those of before stay in use" in caplog.text


@pytest.mark.parametrize("part", ["certificate", "peer", "ca"])
@pytest.mark.parametrize("text", ["", "nothing", "x" * (LARGEST + 1)])
async def test_what_is_no_certificate_is_not_taken(enrolment: Enrolment, signer: Signer, part: str, text: str) -> None:
    async def wrong(request: str) -> Signed:
        signed = await signer(request)
        return Signed(**{"certificate": signed.certificate, "peer": signed.peer, "ca": signed.ca, part: text})

    with pytest.raises(CertificateProblem, match=r"what the controller signed .*; it is not taken"):
        await enrolment.begin(wrong)
    assert not enrolment.certificate.exists()


async def test_what_is_of_another_key_is_not_taken(enrolment: Enrolment, signer: Signer, tmp_path: Path) -> None:
    other = Enrolment(tmp_path / "other")
    await other.begin(signer)

    async def replayed(_request: str) -> Signed:
        return await signer(signer.requests[0])

    with pytest.raises(CertificateProblem, match="does not fit its key"):
        await enrolment.begin(replayed)


@pytest.mark.parametrize("key", [b"", b"nothing"])
async def test_a_damaged_key_is_told(enrolment: Enrolment, signer: Signer, key: bytes) -> None:
    enrolment.directory.mkdir(parents=True)
    enrolment.key.touch(0o600)
    enrolment.key.write_bytes(key)
    with pytest.raises(CertificateProblem, match="remove it to have a new one made"):
        await enrolment.begin(signer)


async def test_who_has_none_asks_again_soon_and_who_has_one_now_and_then(
    enrolment: Enrolment, signer: Signer, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    signer.away = True
    with trio.move_on_after(2.5 * LOOK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enrolment.keep, signer)
            await trio.sleep(SOON / 2)
            assert not enrolment.certificate.exists()
            signer.away = False
            await trio.sleep(SOON)
            assert enrolment.certificate.exists()
    assert len(signer.requests) == 1
    assert "certificates: none yet: away" in caplog.text


async def test_one_that_cannot_be_renewed_is_told_each_time(
    enrolment: Enrolment, signer: Signer, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await enrolment.renew(signer.long_ago)
    signer.away = True
    with trio.move_on_after(1.5 * LOOK):
        await enrolment.keep(signer)
    assert caplog.text.count("certificates: not renewed: away") == 2


def test_an_answer_of_http_is_a_reason_of_one_line() -> None:
    request = httpx.Request("POST", "http://controller/v1/routes/ack")
    error = httpx.HTTPStatusError("Client error\nFor more information", request=request, response=httpx.Response(401))
    assert reason_of(error) == "it answered 401"
    assert reason_of(ConnectionResetError("reset")) == "reset"
