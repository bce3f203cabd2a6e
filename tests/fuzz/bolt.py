"""Mutate what Neo4j drivers and servers say.

    python -m tests.fuzz.bolt --inputs 1000000 [--seed 1]

What fails is printed with the bytes, which then belong into a test.
"""

import random
from collections.abc import Callable, Sequence

from gateway.wire import bolt
from gateway.wire.bolt import HELLO, LOGON, RECORD, ROUTE, RUN, SUCCESS, Proposal, message
from gateway.wire.packstream import Structure, Value, encode
from gateway.wire.websocket import Kind, WebSocket
from tests.fuzz.boltinvariants import check_down, check_frames, check_message, check_opening, check_up
from tests.fuzz.mutation import cuts_of, mutated
from tests.fuzz.running import main
from tests.gateway.wire.prefixes import recorded
from tests.gateway.wire.test_boltmanifest import NEO4J
from tests.gateway.wire.test_boltstream import chunked
from tests.gateway.wire.test_websocket import masked

DRIVER = [recorded(name) for name in ("neo4j_bolt44", "neo4j_bolt54")]
SHOWN: dict[str, Value] = {"scheme": "basic", "principal": "owner", "credentials": "secret"}
SERVERS: list[Value] = [{"addresses": ["inner:7687"], "role": role} for role in ("WRITE", "READ", "ROUTE")]
ROUTING: dict[str, Value] = {"ttl": 300, "db": None, "servers": SERVERS}
QUERY = message(RUN, "RETURN $n", {"n": [1.5, None, True, b"\0", {"a": "b"}]}, {"db": "graph"})

OPENINGS = (
    *(data[: bolt.HANDSHAKE_SIZE] for data in DRIVER),
    NEO4J,
    bolt.propose(Proposal(5, 4, 4)),
    b"\0\0\x08\x05\0",
)
UPS = (
    *(data[bolt.HANDSHAKE_SIZE :] for data in DRIVER),
    message(LOGON, SHOWN),
    chunked(encode(Structure(LOGON, (SHOWN,))), 1, 1, 5),
    message(0x6B) + message(LOGON, SHOWN) + QUERY,
    QUERY + b"\0\0" + message(0x3F, {"n": -1}) + message(bolt.RESET),
    message(ROUTE, {"address": "a:1"}, [], {}) + QUERY,
)
DOWNS = (
    message(SUCCESS, {"rt": ROUTING}),
    message(RECORD, [1, "x" * 300]) * 3 + message(SUCCESS, {}) + message(SUCCESS, {"rt": ROUTING}),
    message(SUCCESS, {}) + message(RECORD, [300, SERVERS]) * 2 + message(SUCCESS, {"has_more": False}),
    bolt.failure("Neo.ClientError.Security.Forbidden", "no", (5, 8)) + message(bolt.IGNORED),
)
TOKEN: dict[str, Value] = {"scheme": "bearer", "credentials": "pgt_x", "parameters": {"more": ["a.b.c"]}}
HELLOS = (
    message(LOGON, TOKEN),
    message(HELLO, {"user_agent": "x/1", "routing": {"address": "a:1"}, **SHOWN}),
    *DOWNS,
    *UPS,
)
FRAMES = (
    masked(2, b"one", last=False) + masked(9, b"!") + masked(0, b"two"),
    masked(2, b"x" * 200) + masked(8, b"\x03\xe8bye"),
    masked(10, b"") + masked(2, b""),
    WebSocket().frame(b"unmasked", Kind.PING),
)
PIECES = (
    *(bytes([byte]) for byte in b"\0\1\2\x10\x66\x6a\x6b\x70\x7f\x80\x90\xa1\xb0\xb1\xb3\xc0\xcc\xd0\xd8\xdc\xff"),
    b"\0\0",
    b"\0\1\xb1",
    b"\0\1\x6a",
    b"\0\2\xb1\x6a",
    b"\0\2\xb1\x01",
    b"\xff\xff",
    b"\xdc\1\x6a",
    b"\x82\xfe\0\x80",
    message(LOGON, SHOWN),
    message(HELLO, SHOWN),
    encode({"rt": ROUTING}),
    b"\x91" * 12,
    b"\xdb\xff\xff\xff\xff",
)


Check = Callable[[bytes, Sequence[int]], str]
CHECKS: tuple[tuple[Check, tuple[bytes, ...]], ...] = (
    (check_opening, OPENINGS),
    (check_message, HELLOS),
    (check_up, UPS),
    (check_up, UPS),
    (check_down, DOWNS),
    (check_frames, FRAMES),
)


def choose(chance: random.Random) -> tuple[Check, tuple[bytes, list[int]]]:
    """Choose what is checked next, and the input for it."""
    check, seeds = chance.choice(CHECKS)
    data = mutated(chance, seeds, PIECES)
    return check, (data, cuts_of(chance, data))


if __name__ == "__main__":
    main(choose, __doc__)
