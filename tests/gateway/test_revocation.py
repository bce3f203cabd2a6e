"""Open links whose access is taken back end within a second, and no others; client certificates."""

import contextlib
import datetime
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs.authority import CLOCK_SKEW, Authority
from certs.leaf import Leaf
from gateway.options import Options
from gateway.proof import BACKDATED
from router.access import AccessLevel, Principal
from router.credentials import Credentials, User
from router.routedocument import parse_network
from tests.gateway.pods import Pod, read_head, receive_head, receive_response
from tests.gateway.running import Running, running
from tests.gateway.web.site import ALICE, BOB, bearer, request, token
from tests.peers import CHUNK, DEADLINE, TlsPeer, plain_to, tls_to, trusting
from tests.upstreams import Upstream, upstream

DB, WEB = "db.pods.test", "web.pods.test"
GRANTS = {"user:alice": AccessLevel.WRITE, "user:bob": AccessLevel.WRITE}
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")
SOON = DEADLINE  # half a second until the look, and what a busy machine takes; the next look is a minute later


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


@pytest.fixture
def gateway(leaf: Leaf, authority: Authority) -> Iterator[Running]:
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM).decode()
    with running([leaf], Options(public_port=8443, drain=0, client_ca=pem)) as gateway:
        gateway.know(User("alice"), User("bob"), token(ALICE, "alice"), token(BOB, "bob"))
        yield gateway


@pytest.fixture
def db(gateway: Running, echoing: Upstream) -> str:
    return gateway.route(DB, "tcp", echoing.address, access=AccessLevel.WRITE, grants=GRANTS, certificates=True)


class Pass:
    """A client's key, and a certificate for it in a file."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory, self._authority = directory, authority
        self.key = ec.generate_private_key(ec.SECP256R1())

    def csr(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def context(
        self, ca: trustme.CA, user: str, now: datetime.datetime | None = None, hours: float = 1
    ) -> ssl.SSLContext:
        return self.with_pem(ca, self._authority.sign_client(self.csr(), user, hours, now))

    def with_pem(self, ca: trustme.CA, certificate: bytes, key: bytes = b"") -> ssl.SSLContext:
        own = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._directory / "client.pem"
        file.write_bytes(certificate + (key or own))
        context = trusting(ca)
        context.load_cert_chain(file)
        return context


@pytest.fixture
def holder(tmp_path: Path, authority: Authority) -> Pass:
    return Pass(tmp_path, authority)


def echoes(client: TlsPeer, text: bytes = b"hello") -> None:
    client.send(text)
    assert client.receive(len(text)) == text


def ends_soon(client: TlsPeer) -> None:
    began = time.monotonic()
    assert client.receive_to_end()[0] == b""
    assert time.monotonic() - began < SOON


def test_what_proof_and_authority_say_of_backdating_agrees() -> None:
    assert CLOCK_SKEW.total_seconds() == BACKDATED


# ---- certificates


def test_a_client_certificate_opens_a_raw_endpoint(gateway: Running, ca: trustme.CA, db: str, holder: Pass) -> None:
    client = tls_to(gateway.port, holder.context(ca, "alice"), db)
    echoes(client)
    client.close()


def refused(gateway: Running, context: ssl.SSLContext, host: str, server: Upstream) -> None:
    """The client learns it at the handshake, or with TLS 1.3 after it."""
    with pytest.raises((ssl.SSLError, OSError, EOFError)):  # noqa: PT012  # wherever it is told
        client = tls_to(gateway.port, context, host)
        with contextlib.closing(client):
            client.send(b"hello")
            client.receive(5)
    assert server.accepted == 0


def test_without_a_certificate_nobody_comes_in(gateway: Running, ca: trustme.CA, db: str, echoing: Upstream) -> None:
    refused(gateway, trusting(ca), db, echoing)


@pytest.mark.parametrize("user", ["carol", "mallory"])
def test_somebody_else_does_not_come_in(
    gateway: Running, ca: trustme.CA, db: str, echoing: Upstream, holder: Pass, user: str
) -> None:
    gateway.know(User("carol"))
    refused(gateway, holder.context(ca, user), db, echoing)


def test_an_expired_certificate_does_not_come_in(
    gateway: Running, ca: trustme.CA, db: str, echoing: Upstream, holder: Pass
) -> None:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3)
    refused(gateway, holder.context(ca, "alice", before), db, echoing)


def test_a_certificate_of_another_authority_does_not_come_in(
    gateway: Running, ca: trustme.CA, db: str, echoing: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority.open(tmp_path / "other")
    refused(gateway, Pass(tmp_path, other).context(ca, "alice"), db, echoing)


def test_a_servers_certificate_is_no_clients(
    gateway: Running, ca: trustme.CA, db: str, echoing: Upstream, holder: Pass, authority: Authority
) -> None:
    server = authority.issue(["alice.pods.test"], datetime.datetime.now(datetime.UTC))
    refused(gateway, holder.with_pem(ca, server.chain_pem, server.key_pem), db, echoing)


def test_certificates_from_before_a_users_since_are_void(
    gateway: Running, ca: trustme.CA, db: str, echoing: Upstream, holder: Pass
) -> None:
    gateway.know(User("alice", since=time.time() + 60))
    refused(gateway, holder.context(ca, "alice"), db, echoing)


# ---- taking access back


def test_links_of_who_was_shut_out_end_and_no_others(gateway: Running, ca: trustme.CA, db: str, holder: Pass) -> None:
    alice, bob = (tls_to(gateway.port, holder.context(ca, user), db) for user in ("alice", "bob"))
    echoes(alice)
    echoes(bob)
    gateway.know(forget=["user:alice"])
    ends_soon(alice)
    echoes(bob)
    alice.close()
    bob.close()


def serve_socket(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while data := connection.recv(CHUNK):
        connection.sendall(data)


@pytest.mark.parametrize("how", ["token", "user", "grant", "level", "network", "route"])
def test_an_upgraded_link_ends_whatever_is_taken_back(gateway: Running, ca: trustme.CA, how: str) -> None:
    with upstream(serve_socket) as server:
        gateway.route(WEB, "http", server.address, access=AccessLevel.WRITE, grants=GRANTS)
        gateway.route("other", "tcp", server.address)
        clients = []
        for text in (ALICE, BOB):
            client = tls_to(gateway.port, trusting(ca), WEB)
            client.send(request(bearer(text), *UPGRADE))
            assert receive_head(client).startswith(b"HTTP/1.1 101 ")
            echoes(client)
            clients.append(client)
        alice, bob = clients
        changes: dict[str, Callable[[], object]] = {
            "token": lambda: gateway.know(forget=["token:alice"]),
            "user": lambda: gateway.know(forget=["user:alice"]),
            "grant": lambda: gateway.route(
                WEB, "http", server.address, access=AccessLevel.WRITE, grants={"user:bob": AccessLevel.OWNER}
            ),
            "level": lambda: gateway.route(
                WEB, "http", server.address, access=AccessLevel.MANAGE, grants=GRANTS | {"user:bob": AccessLevel.OWNER}
            ),
            "network": lambda: gateway.route(
                WEB, "http", server.address, access=AccessLevel.PUBLIC, ip_allow=(parse_network("192.0.2.0/24"),)
            ),
            "route": lambda: gateway.forget(WEB),
        }
        changes[how]()
        ends_soon(alice)
        if how in ("network", "route"):
            ends_soon(bob)
        else:
            echoes(bob)
        for client in clients:
            client.close()


@pytest.mark.parametrize("how", ["token", "user", "lower"])
def test_a_pod_does_not_go_on_believing_what_does_not_hold_any_more(gateway: Running, ca: trustme.CA, how: str) -> None:
    with upstream(serve_socket) as server:
        access = AccessLevel.READ if how == "lower" else AccessLevel.PUBLIC
        gateway.route(WEB, "http", server.address, access=access, grants=GRANTS)
        alice, nobody = (tls_to(gateway.port, trusting(ca), WEB) for _ in range(2))
        alice.send(request(bearer(ALICE), *UPGRADE))
        assert receive_head(alice).startswith(b"HTTP/1.1 101 ")
        nobody.send(request(*UPGRADE) if access is AccessLevel.PUBLIC else request(bearer(BOB), *UPGRADE))
        assert receive_head(nobody).startswith(b"HTTP/1.1 101 ")
        if how == "lower":
            grants = GRANTS | {"user:alice": AccessLevel.READ}
            gateway.route(WEB, "http", server.address, access=access, grants=grants)
        else:
            gateway.know(forget=[f"{how}:alice"])
        ends_soon(alice)
        echoes(nobody)
        alice.close()
        nobody.close()


class Broken:
    """A proof that is a fault of ours."""

    is_ambient = False

    def principal(self, _credentials: Credentials, _now: float) -> Principal | None:
        raise RuntimeError("a fault")


def test_a_fault_with_one_link_ends_that_one_alone(gateway: Running, ca: trustme.CA, echoing: Upstream) -> None:
    host = gateway.route(DB, "tcp", echoing.address)
    one = tls_to(gateway.port, trusting(ca), host)
    echoes(one)
    (link,) = gateway.in_loop(lambda: list(gateway.services.relay.links))
    other = tls_to(gateway.port, trusting(ca), host)
    echoes(other)
    link.proof = Broken()
    gateway.know(User("carol"))
    ends_soon(one)
    echoes(other)
    one.close()
    other.close()


def test_a_change_that_concerns_nobody_ends_nothing(gateway: Running, ca: trustme.CA, db: str, holder: Pass) -> None:
    alice, witness = (tls_to(gateway.port, holder.context(ca, user), db) for user in ("alice", "bob"))
    echoes(alice)
    echoes(witness)
    gateway.route("other", "tcp", "127.0.0.1:1")
    gateway.know(User("carol"), forget=["user:bob"])
    ends_soon(witness)  # all links have been looked at
    echoes(alice)
    alice.close()
    witness.close()


def test_who_is_shut_out_while_connecting_does_not_get_in(
    gateway: Running, ca: trustme.CA, db: str, holder: Pass
) -> None:
    """The look at open links comes before this link is one; nothing may slip between."""
    witness = tls_to(gateway.port, holder.context(ca, "alice"), db)
    echoes(witness)
    slow = TlsPeer(plain_to(gateway.port), holder.context(ca, "alice"), db)
    slow.socket.sendall(slow.hello())
    slow._feed(slow.socket.recv(CHUNK))  # the gateway is within the handshake
    gateway.know(forget=["user:alice"])
    ends_soon(witness)
    slow.socket.settimeout(SOON)
    with pytest.raises((EOFError, ssl.SSLError, ConnectionError)):  # noqa: PT012
        slow.handshake()
        slow.send(b"hello")
        slow.receive(5)
    slow.close()
    witness.close()


def test_an_idle_kept_alive_connection_of_who_is_still_let_in_stays(gateway: Running, ca: trustme.CA) -> None:
    with upstream(Pod()) as server:
        gateway.route(WEB, "http", server.address, access=AccessLevel.WRITE, grants=GRANTS)
        bob, alice = (tls_to(gateway.port, trusting(ca), WEB) for _ in range(2))
        for client, text in ((bob, BOB), (alice, ALICE)):
            client.send(request(bearer(text)))
            assert receive_response(client) == (200, b"ok")
        gateway.know(forget=["user:alice"])
        ends_soon(alice)
        bob.send(request(bearer(BOB)))
        assert receive_response(bob) == (200, b"ok")
        bob.close()
        alice.close()
