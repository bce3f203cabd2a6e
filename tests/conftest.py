"""What tests of every package share: a certificate authority for test hosts, below `pods.test`."""

import pytest
import trustme

from certs.leaf import Leaf
from tests.peers import leaf_of

DOMAIN = "pods.test"


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """An authority that test clients trust."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="session")
def leaf(ca: trustme.CA) -> Leaf:
    """A certificate for every host directly below `pods.test`."""
    return leaf_of(ca, f"*.{DOMAIN}", DOMAIN)
