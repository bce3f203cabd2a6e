"""The port on which replicas find each other: who is let in, and what is answered."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Authority
from certs.leaf import Leaf
from certs.peer import GATEWAY
from gateway import peers as module
from gateway.cancelling import Owner
from gateway.identity import FileIdentity, Identity, LocalIdentity
from gateway.peers import Others, Peers
from gateway.wire.pgmessage import CancelKey, cancel_request
from tests.gateway.test_identity import files
from tests.peers import DEADLINE, Ending, TlsPeer, leaf_of, plain_to, read_to_end, tls_to, write_leaf
from tests.ports import free_port

KEY = CancelKey(Owner(1, 0, 1).to_number(), b"good")
NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


@dataclass
class Owning:
    """Who owns one session."""

    asked: list[CancelKey] = field(default_factory=list)

    async def deliver(self, key: CancelKey) -> bool:
        self.asked.append(key)
        return key == KEY


@asynccontextmanager
async def serving(identity: Identity) -> AsyncIterator[tuple[Peers, Owning]]:
    peers, owning = Peers(("127.0.0.1", 0), (), identity), Owning()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peers.serve, owning.deliver)
        with trio.fail_after(DEADLINE):
            yield peers, owning
        nursery.cancel_scope.cancel()


def asking(identity: Identity, *others: Peers) -> Others:
    return Others(tuple(other.address for other in others), identity)


def context(authority: Authority, leaf: Leaf | None, directory: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(authority.path))
    made.check_hostname = False
    if leaf is not None:
        made.load_cert_chain(*write_leaf(leaf, directory))
    return made


def client_leaf(authority: Authority, user: str) -> Leaf:
    """Make the client certificate of a user."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    chain = authority.sign_client(request.public_bytes(serialization.Encoding.PEM), user, 12)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Leaf.from_pem(chain, pem)


def stranger(_authority: Authority) -> Leaf:
    return leaf_of(trustme.CA(), "gateway.test")


def talk(peer: TlsPeer, data: bytes) -> bytes:
    """Send and hear what comes back; nothing, where TLS refuses."""
    try:
        peer.send(data)
        return peer.receive_to_end()[0]
    except (ssl.SSLError, OSError):
        return b""
    finally:
        peer.close()


async def test_a_peer_is_told_whether_the_key_was_right(authority: Authority) -> None:
    identity = LocalIdentity(authority)
    async with serving(identity) as (here, owning):
        there = asking(identity, here)
        assert await there.ask(KEY)
        long = CancelKey(-1, bytes(32))
        assert not await there.ask(long)
        assert owning.asked == [KEY, long]


async def test_all_peers_are_asked_and_one_that_knows_is_enough(authority: Authority) -> None:
    identity = LocalIdentity(authority)
    async with serving(identity) as (one, _), serving(identity) as (two, knowing):
        unknowing = Others((("127.0.0.1", free_port()), one.address, two.address), identity)
        assert await unknowing.ask(KEY)
        assert knowing.asked == [KEY]


async def test_one_that_does_not_answer_is_not_waited_for_if_another_does(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GREETING", 2 * DEADLINE)
    identity = LocalIdentity(authority)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    silent = listeners[0].socket.getsockname()
    async with serving(identity) as (here, _):
        with trio.fail_after(DEADLINE):
            assert await Others((silent, here.address), identity).ask(KEY)
    await listeners[0].aclose()


async def test_one_that_failed_is_left_alone_for_a_moment_and_told_of_now_and_then(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = 0

    async def hang_up(stream: trio.SocketStream) -> None:
        nonlocal accepted
        accepted += 1
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, hang_up, 0, host="127.0.0.1"))
        others = Others((listeners[0].socket.getsockname(),), LocalIdentity(authority))
        for _ in range(3):
            assert not await others.ask(KEY)
        assert accepted == 1
        monkeypatch.setattr(module, "REST", 0.0)
        others = Others((listeners[0].socket.getsockname(),), LocalIdentity(authority))
        for _ in range(3):
            assert not await others.ask(KEY)
        assert accepted == 4
        nursery.cancel_scope.cancel()
    assert caplog.text.count("cancels for its sessions do not reach it") == 2  # once for each of the two


@pytest.mark.parametrize("make", [
    lambda authority: None,
    stranger,
    lambda authority: client_leaf(authority, "alice"),
    lambda authority: authority.issue(["db.pods.test"], NOW),
    lambda authority: authority.issue_peer(NOW - timedelta(days=3), timedelta(days=1)),
], ids=["nothing", "a stranger's", "a user's", "a pod's", "one that has ended"])  # fmt: skip
async def test_who_shows_no_certificate_of_a_gateway_is_not_heard(
    authority: Authority, tmp_path: Path, make: Callable[[Authority], Leaf | None]
) -> None:
    async with serving(LocalIdentity(authority)) as (here, owning):
        trusted = context(authority, make(authority), tmp_path)

        def ask(trusted: ssl.SSLContext) -> bytes:
            return talk(tls_to(here.address[1], trusted, None), cancel_request(KEY))

        assert await trio.to_thread.run_sync(ask, trusted) == b""
        assert owning.asked == []
        good = context(authority, authority.issue_peer(NOW), tmp_path)
        assert await trio.to_thread.run_sync(ask, good) == b"S"


async def test_before_tls_1_3_nobody_is_heard(authority: Authority, tmp_path: Path) -> None:
    """Up to TLS 1.2 certificates are sent in plain text."""
    async with serving(LocalIdentity(authority)) as (here, _):
        old = context(authority, authority.issue_peer(NOW), tmp_path)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            await trio.to_thread.run_sync(tls_to, here.address[1], old, None)


@pytest.mark.parametrize("kind", ["stranger", "user", "pod"])
async def test_who_answers_without_a_certificate_of_a_gateway_is_not_told_the_key(
    authority: Authority, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    shown = {
        "stranger": lambda: stranger(authority),
        "user": lambda: client_leaf(authority, "alice"),
        "pod": lambda: authority.issue(["db.pods.test"], NOW),
    }[kind]()
    heard = bytearray()
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    accepting.load_cert_chain(*await trio.to_thread.run_sync(write_leaf, shown, authority.path.parent))

    async def listen(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, accepting, server_side=True, https_compatible=True)
        with trio.move_on_after(DEADLINE):
            try:
                while data := await tls.receive_some():
                    heard.extend(data)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, listen, 0, host="127.0.0.1"))
        place = listeners[0].socket.getsockname()
        assert not await Others((place,), LocalIdentity(authority)).ask(KEY)
        nursery.cancel_scope.cancel()
    assert not heard
    assert "cancels for its sessions do not reach it" in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",  # SSLRequest
        cancel_request(CancelKey(1, bytes(33))),
        cancel_request(CancelKey(1, bytes(3))),
        b"\0\0\x27\x10\0\x03\0\0",  # a startup message of 10,000 bytes
        bytes(100),
    ],
)
async def test_something_else_than_a_cancel_request_is_not_answered(
    authority: Authority, tmp_path: Path, said: bytes
) -> None:
    async with serving(LocalIdentity(authority)) as (here, owning):
        good = context(authority, authority.issue_peer(NOW), tmp_path)

        def ask() -> bytes:
            return talk(tls_to(here.address[1], good, None), said)

        assert await trio.to_thread.run_sync(ask) == b""
        assert owning.asked == []


async def test_a_request_may_come_in_pieces_and_its_end_is_said(authority: Authority, tmp_path: Path) -> None:
    async with serving(LocalIdentity(authority)) as (here, _):
        good = context(authority, authority.issue_peer(NOW), tmp_path)

        def ask() -> tuple[bytes, Ending]:
            peer = tls_to(here.address[1], good, None)
            for byte in cancel_request(KEY):
                peer.send(bytes((byte,)))
            try:
                return peer.receive_to_end()
            finally:
                peer.close()

        assert await trio.to_thread.run_sync(ask) == (b"S", Ending.GOODBYE)


async def test_who_says_nothing_is_cut_and_too_many_are_not_let_in(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKING", 3 * DEADLINE)
    monkeypatch.setattr(module, "MOST_OF_ADDRESS", 1)
    identity = LocalIdentity(authority)

    def one_too_many() -> None:
        with plain_to(here.address[1]) as first, plain_to(here.address[1]) as second:
            assert read_to_end(second) == (b"", True)
            first.settimeout(0)
            with pytest.raises(BlockingIOError):
                first.recv(1)

    def silent() -> bool:
        with plain_to(here.address[1]) as connection:
            return read_to_end(connection) == (b"", True)

    async with serving(identity) as (here, _):
        await trio.to_thread.run_sync(one_too_many)
        await until_alone(here)
        with monkeypatch.context() as hasty:
            hasty.setattr(module, "ASKING", 0.1)
            assert await trio.to_thread.run_sync(silent)
        await until_alone(here)
        assert await asking(identity, here).ask(KEY)


async def until_alone(peers: Peers) -> None:
    """Wait until it has noticed that all have left."""
    while peers._served:
        await trio.lowlevel.checkpoint()


async def test_files_do_for_replicas_that_share_no_home(tmp_path: Path, authority: Authority) -> None:
    identity = FileIdentity(*files(tmp_path, GATEWAY))
    async with serving(identity) as (here, _):
        assert await asking(identity, here).ask(KEY)
        assert not await asking(LocalIdentity(authority), here).ask(KEY)
