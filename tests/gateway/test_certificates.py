"""Which certificate a worker presents, and how replaced ones go."""

import trio
import trio.testing
import trustme

from certs.leaf import Leaf
from gateway.certificates import Certificates
from tests.peers import leaf_of


async def test_a_leaf_is_found_by_name_then_by_wildcard(ca: trustme.CA) -> None:
    exact, wild = leaf_of(ca, "a.pods.test"), leaf_of(ca, "*.pods.test")
    certificates = Certificates(lambda host: None)
    certificates.put(wild, default=True)
    certificates.put(exact, default=False)
    assert await certificates.get("a.pods.test", None) is exact
    assert await certificates.get("b.pods.test", None) is wild
    assert await certificates.get("b.c.pods.test", None) is None
    assert await certificates.get("", None) is wild


def test_a_replaced_leaf_is_given_back_once_and_only_when_nothing_presents_it(ca: trustme.CA) -> None:
    both, first, second = leaf_of(ca, "a.test", "b.test"), leaf_of(ca, "a.test"), leaf_of(ca, "b.test")
    certificates = Certificates(lambda host: None)
    assert certificates.put(both, default=False) == []
    assert certificates.put(first, default=False) == []
    assert certificates.put(second, default=False) == [both]
    assert certificates.put(first, default=False) == []


async def test_a_new_default_stands_in_wherever_the_old_one_did(ca: trustme.CA) -> None:
    old, new = leaf_of(ca, "a.test"), leaf_of(ca, "b.test")
    certificates = Certificates(lambda host: None)
    certificates.put(old, default=True)
    certificates.answer("custom.test")  # none could be had
    assert certificates.put(new, default=True) == [old]
    for host in ("custom.test", "a.test", "b.test"):
        assert await certificates.get(host, None) is new


async def test_those_who_wait_for_one_certificate_ask_once(ca: trustme.CA, leaf: Leaf) -> None:
    asked: list[str] = []
    certificates = Certificates(asked.append)
    certificates.put(leaf, default=True)
    own = leaf_of(ca, "custom.test")
    got: list[Leaf | None] = []

    async def wait() -> None:
        got.append(await certificates.get("custom.test", "custom.test"))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        certificates.put(own, default=False)
        certificates.answer("custom.test")
    assert asked == ["custom.test"]
    assert got == [own] * 3
