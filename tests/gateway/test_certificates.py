"""Which certificate a worker presents, and how replaced ones go."""

import trustme

from certs.leaf import Leaf
from gateway.certificates import Certificates
from gateway.loop import Loop
from tests.gateway.driving import drive
from tests.peers import leaf_of


def test_a_leaf_is_found_by_name_then_by_wildcard(ca: trustme.CA) -> None:
    exact, wild = leaf_of(ca, "a.pods.test"), leaf_of(ca, "*.pods.test")
    certificates = Certificates(lambda host: None)
    certificates.put(wild, default=True)
    certificates.put(exact, default=False)
    assert drive(certificates.get("a.pods.test", None)) is exact
    assert drive(certificates.get("b.pods.test", None)) is wild
    assert drive(certificates.get("b.c.pods.test", None)) is None
    assert drive(certificates.get("", None)) is wild


def test_a_replaced_leaf_is_given_back_once_and_only_when_nothing_presents_it(ca: trustme.CA) -> None:
    both, first, second = leaf_of(ca, "a.test", "b.test"), leaf_of(ca, "a.test"), leaf_of(ca, "b.test")
    certificates = Certificates(lambda host: None)
    assert certificates.put(both, default=False) == []
    assert certificates.put(first, default=False) == []
    assert certificates.put(second, default=False) == [both]
    assert certificates.put(first, default=False) == []


def test_a_new_default_stands_in_wherever_the_old_one_did(ca: trustme.CA) -> None:
    old, new = leaf_of(ca, "a.test"), leaf_of(ca, "b.test")
    certificates = Certificates(lambda host: None)
    certificates.put(old, default=True)
    certificates.answer("custom.test")  # none could be had
    assert certificates.put(new, default=True) == [old]
    for host in ("custom.test", "a.test", "b.test"):
        assert drive(certificates.get(host, None)) is new


def test_those_who_wait_for_one_certificate_ask_once(ca: trustme.CA, leaf: Leaf) -> None:
    asked: list[str] = []
    certificates = Certificates(asked.append)
    certificates.put(leaf, default=True)
    own = leaf_of(ca, "custom.test")
    got: list[Leaf | None] = []

    loop = Loop()

    async def wait() -> None:
        got.append(await certificates.get("custom.test", "custom.test"))
        if len(got) == 3:
            loop.stop()

    async def answer() -> None:
        certificates.put(own, default=False)
        certificates.answer("custom.test")

    for _ in range(3):
        loop.spawn(wait())
    loop.spawn(answer())  # tasks run in the order they were made
    loop.run()
    assert asked == ["custom.test"]
    assert got == [own] * 3
