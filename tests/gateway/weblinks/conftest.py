from collections.abc import Iterator

import pytest
import trustme

from certs.leaf import Leaf
from router.credentials import User
from tests.gateway.running import Running, running
from tests.gateway.web.site import ALICE, BOB, token
from tests.gateway.weblinks.clients import HOST, OPTIONS
from tests.peers import TlsPeer, tls_to, trusting


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    with running([leaf], OPTIONS) as gateway:
        gateway.know(User("alice"), User("bob"), token(ALICE, "alice"), token(BOB, "bob"))
        yield gateway


@pytest.fixture
def client(gateway: Running, ca: trustme.CA) -> Iterator[TlsPeer]:
    """A client inside TLS that has said nothing yet."""
    gateway.route(HOST, "http")
    client = tls_to(gateway.port, trusting(ca), HOST)
    yield client
    client.close()
