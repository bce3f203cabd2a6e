from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from certs.leaf import Leaf
from gateway.options import Options
from router.credentials import User
from tests.gateway.postgres.clients import BUDGET, Seen
from tests.gateway.postgres.scripted import by_scram, database, token
from tests.gateway.running import Running, running
from tests.upstreams import Upstream, upstream


@pytest.fixture
def gateway(leaf: Leaf) -> Iterator[Running]:
    options = Options(public_port=8443, drain=0, domain="pods.test", opening_budget=BUDGET)
    with running([leaf], options) as gateway:
        gateway.know(User("alice"), User("bob"), token(), token("pgt_of-bob", "bob", "t2"))
        yield gateway


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def server(seen: Seen) -> Iterator[Upstream]:
    with upstream(database(by_scram(), seen)) as server:
        yield server
