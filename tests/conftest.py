"""What tests of every package share: a certificate authority for test hosts, below `pods.test`."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from certs.leaf import Leaf
from controller import passwords
from tests.gateway.process import Site
from tests.peers import leaf_of
from tests.upstreams import Upstream, echo, upstream

DOMAIN = "pods.test"

# How long an input takes to make says how busy the machine is, and nothing about what is tested.
settings.register_profile("podgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("podgate")


@pytest.fixture(autouse=True, scope="session")
def _quick_passwords() -> None:
    """Argon2id with the least work: what is to cost a guesser time would cost every test the same."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    passwords._NOBODYS = passwords.hash_of_nobody(passwords._hasher)


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Have SIGINT end what tests start: a shell that runs the tests in the background has it ignored, by heirs too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """An authority that test clients trust."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="session")
def leaf(ca: trustme.CA) -> Leaf:
    """A certificate for every host directly below `pods.test`."""
    return leaf_of(ca, f"*.{DOMAIN}", DOMAIN)


@pytest.fixture
def place(tmp_path: Path, ca: trustme.CA, leaf: Leaf) -> Site:
    """Files for a gateway process."""
    return Site(tmp_path, ca, leaf)


@pytest.fixture
def echoing() -> Iterator[Upstream]:
    """An upstream that echoes."""
    with upstream(echo) as server:
        yield server
