"""Mutate the openings of real Postgres clients, and what servers answer.

    python -m tests.fuzz.postgres --inputs 1000000 [--seed 1]

What fails is printed with the bytes, which then belong into a test.
"""

import random
from collections.abc import Callable
from typing import Any

from gateway.postgres.scram import PLAIN, PLUS
from gateway.wire.pgmessage import (
    Auth,
    CancelKey,
    authentication,
    backend_key,
    cancel_request,
    message,
    offer,
    parse_sasl_initial,
    password_message,
)
from gateway.wire.postgres import error_response, startup_message
from tests.fuzz.mutation import cuts_of, mutated
from tests.fuzz.pginvariants import check_login, check_message, check_our_login, check_startup
from tests.fuzz.running import main
from tests.gateway.postgres.logins import NONCE, TOKEN
from tests.gateway.wire.openings import OPENINGS, Opening, opening

KNOWN = tuple(opening(name) for name in OPENINGS)

STARTUPS = (
    *(known.inside[0] for known in KNOWN),
    startup_message((3, 0), {"user": "alice@mydb", "database": "shop"}),
    startup_message((3, 2), {"user": "alice+password", "options": "endpoint=mydb"}),
    startup_message((3, 0), {"user": "alice", "options": r"-c search_path=a\ b --podgate.pod=mydb -cgeqo=off"}),
    cancel_request(CancelKey(4242, bytes(4))),
    cancel_request(CancelKey(-1, bytes(range(32)))),
)
MESSAGES = (
    *(packet for known in KNOWN for packet in known.inside[1:]),
    offer([PLUS, PLAIN]),
    message(b"R", offer([PLUS, PLAIN])[9:]),  # as its reader gets it
    authentication(Auth.SASL_CONTINUE, b"r=mineyours,s=AAAA,i=4096"),
    authentication(Auth.OK),
    backend_key(CancelKey(4242, bytes(4))),
    backend_key(CancelKey(7, bytes(range(256)))),
    error_response("28P01", "no", "yes"),
    message(b"v", b"\0\3\0\2\0\0\0\1_pq_.a\0"),
    password_message(TOKEN),
)
INITIALS = tuple(parse_sasl_initial(known.inside[1][5:]) for known in KNOWN)
FIRSTS = tuple(initial.data for initial in INITIALS)
FINALS = tuple(known.inside[2][5:] for known in KNOWN)
SERVER_FIRSTS = (b"r=mine" + NONCE.encode() + b",s=AAECAwQFBgcICQoLDA0ODw==,i=4096", b"r=mineyours,s=AAAA,i=9999,x=1")
SERVER_LASTS = (b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"e=invalid-proof")

PIECES = (
    *(bytes([byte]) for byte in b"\0\1\3\4\5\x08\x0c\x10\x7f\x80\xfe\xff ,=-\\@+\n\taAcpnyZ09"),
    b"\0\0",
    b"\0\0\0\4",
    b"\0\3\0\0",
    b"\0\0\x27\x10",
    b"\x04\xd2\x16\x2e",
    b"\x04\xd2\x16\x2f",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"user\0",
    b"options\0",
    b"endpoint=",
    b"-c podgate.pod=",
    b" --podgate.pod=a ",
    b"\\ ",
    b"@mydb",
    b"+password",
    b"\xc3\xa9",
    b",m=x",
    b",x=1",
    b"y,,",
    b"n,,",
    b"n=,r=",
    b"p=tls-unique,,",
    b"p=tls-server-end-point,,",
    b"c=biws",
    b",p=",
    b"r=",
    NONCE.encode(),
    b"i=100001",
    b"i=99",
    b"A" * 300,
)


def choose(chance: random.Random) -> tuple[Callable[..., str], tuple[Any, ...]]:
    """Choose what is checked next, and the input for it."""
    turn = chance.randrange(100)
    if turn < 40:
        data = _framed(chance, mutated(chance, STARTUPS, PIECES), 0)
        return check_startup, (data, cuts_of(chance, data))
    if turn < 70:
        data = _framed(chance, mutated(chance, MESSAGES, PIECES), 1)
        return check_message, (data, cuts_of(chance, data))
    if turn < 99:
        return check_login, _login(chance)
    return check_our_login, (mutated(chance, SERVER_FIRSTS, PIECES), mutated(chance, SERVER_LASTS, PIECES))


def _framed(chance: random.Random, data: bytes, at: int) -> bytes:
    """Mend the length most of the time, so that what is behind it is looked at; surplus may follow."""
    if chance.randrange(4) == 0 or len(data) < at:
        return data
    framed = data[:at] + (len(data) - at).to_bytes(4, "big") + data[at + 4 :]
    return framed + chance.choice((b"", b"", b"\0", b"p\0\0\0\4"))


def _login(chance: random.Random) -> tuple[Opening, bytes, bytes, str]:
    """Spoil one message of an exchange that would let a client in, or both, or none."""
    which = chance.randrange(len(KNOWN))
    mechanism, first, final = INITIALS[which].mechanism, FIRSTS[which], FINALS[which]
    match chance.randrange(10):
        case 0 | 1 | 2 | 3:
            first = mutated(chance, (first,), PIECES)
        case 4 | 5 | 6 | 7:
            final = mutated(chance, (final,), PIECES)
        case 8:
            first, final = mutated(chance, FIRSTS, PIECES), mutated(chance, FINALS, PIECES)
            mechanism = chance.choice((PLAIN, PLUS, "SCRAM-SHA-1"))
    return KNOWN[which], first, final, mechanism


if __name__ == "__main__":
    main(choose, __doc__)
