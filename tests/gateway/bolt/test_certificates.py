"""Clients of a graph that show a certificate: they need no password, and pages of other hosts cannot use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from certs.authority import Authority
from certs.leaf import Leaf
from gateway.options import Options
from gateway.wire.bolt import LOGOFF, LOGON, SUCCESS, Proposal
from gateway.wire.packstream import Value
from router.access import AccessLevel
from router.credentials import User
from router.database import NO_DATABASE
from tests.gateway.bolt.graphs import HOST, OF_BOB, TOKEN, closed
from tests.gateway.bolt.scripted import Client, Graph, basic
from tests.gateway.bolt.test_arriving import ORIGIN, Browser
from tests.gateway.bolt.test_opening import said
from tests.gateway.postgres.scripted import token
from tests.gateway.running import Running, running
from tests.gateway.test_revocation import Pass
from tests.peers import TlsPeer, tls_to
from tests.upstreams import Upstream

NONE: dict[str, Value] = {"scheme": "none"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


@pytest.fixture
def gateway(leaf: Leaf, authority: Authority) -> Iterator[Running]:
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM).decode()
    with running([leaf], Options(public_port=8443, drain=0, domain="pods.test", client_ca=pem)) as gateway:
        gateway.know(User("alice"), User("bob"), token(TOKEN), token(OF_BOB, "bob", "t2"))
        yield gateway


@pytest.fixture
def alice(gateway: Running, tmp_path: Path, authority: Authority, ca: trustme.CA, server: Upstream) -> TlsPeer:
    """Alice, who may write, inside TLS."""
    closed(gateway, server, certificates=True)
    return tls_to(gateway.port, Pass(tmp_path, authority).context(ca, "alice"), HOST)


def logged_in(peer: TlsPeer, shown: dict[str, Value], client: Client | None = None) -> Client:
    client = client or Client(peer)
    client.greet(Proposal(5, 4, 0))
    assert client.log_in((5, 4), shown).tag == SUCCESS
    return client


@pytest.mark.parametrize("shown", [NONE, basic("alice", ""), basic("alice", "anything")])
def test_a_certificate_is_enough(alice: TlsPeer, shown: dict[str, Value]) -> None:
    assert logged_in(alice, shown).query("RETURN 1").fields == (["RETURN 1", "writer"],)
    alice.close()


def test_it_is_good_for_its_user_alone(alice: TlsPeer, server: Upstream) -> None:
    client = Client(alice)
    client.greet(Proposal(5, 4, 0))
    code, text = said(client.log_in((5, 4), basic("bob", OF_BOB)))
    assert (code, "is for alice" in text) == ("Neo.ClientError.Security.Forbidden", True)
    assert server.accepted == 0
    alice.close()


def test_a_session_ends_with_its_certificate(gateway: Running, alice: TlsPeer) -> None:
    client = logged_in(alice, NONE)
    assert [client.ask(LOGOFF).tag, client.ask(LOGON, NONE).tag] == [SUCCESS, SUCCESS]
    gateway.know(User("alice", since=4e9))
    assert alice.receive_to_end()[0] == b""
    alice.close()


def test_a_void_one_is_told_so(gateway: Running, alice: TlsPeer) -> None:
    gateway.know(User("alice", since=4e9))
    client = Client(alice)
    client.greet(Proposal(5, 4, 0))
    assert "not valid any more" in said(client.log_in((5, 4), NONE))[1]
    alice.close()


@pytest.mark.parametrize("fields", [{}, {"Origin": ORIGIN}], ids=["no page", "its own page"])
def test_it_counts_in_a_websocket_of_its_own_host(alice: TlsPeer, fields: dict[str, str]) -> None:
    assert logged_in(alice, NONE, Browser(alice, **fields)).query("x").fields == (["x", "writer"],)
    alice.close()


@pytest.mark.parametrize("origin", ["https://hostile.pods.test:8443", f"https://{HOST}", f"http://{HOST}:8443", "null"])
def test_another_page_cannot_use_it(alice: TlsPeer, server: Upstream, origin: str) -> None:
    browser = Browser(alice, Origin=origin)
    browser.greet(Proposal(5, 4, 0))
    assert "has not shown who you are" in said(browser.log_in((5, 4), NONE))[1]
    assert server.accepted == 0
    alice.close()


def test_another_page_may_show_a_token(alice: TlsPeer) -> None:
    browser = Browser(alice, Origin="https://browser.example.org")
    assert logged_in(alice, basic("bob", OF_BOB), browser).query("x").fields == (["x", "reader"],)
    alice.close()


def test_where_the_gateway_has_no_login_who_has_one_logs_in_by_itself(
    gateway: Running, alice: TlsPeer, server: Upstream, graph: Graph
) -> None:
    closed(gateway, server, AccessLevel.WRITE, certificates=True, database=NO_DATABASE)
    client = logged_in(alice, basic("reader", "r" * 9))
    assert client.query("x").fields == (["x", "reader"],)
    closed(gateway, server, AccessLevel.MANAGE, certificates=True, database=NO_DATABASE)
    assert alice.receive_to_end()[0] == b""
    alice.close()
