"""Real Postgres clients, packet by packet and byte by byte: from the first request to the proof that lets them in."""

import pytest

from gateway.postgres.scram import PLAIN, PLUS, Denied, ScramServer
from gateway.wire import clienthello
from gateway.wire.opening import Opening as Kind
from gateway.wire.opening import recognise
from gateway.wire.pgmessage import LARGEST_SASL, Message, parse_message, parse_sasl_initial, sasl_initial, sasl_response
from gateway.wire.pgnaming import name_the_pod
from gateway.wire.postgres import LARGEST_STARTUP, Startup, parse_startup, startup_message
from gateway.wire.verdict import More
from tests.gateway.postgres.logins import ITERATIONS, NONCE, SALT, TOKEN, verifier
from tests.gateway.wire.openings import OPENINGS, Opening, opening
from tests.gateway.wire.prefixes import malformed, whole

SHOP = {"user": "alice", "database": "shop"}
STARTUPS = {
    "asyncpg": {"client_encoding": "'utf-8'"},
    "asyncpg_direct": {"client_encoding": "'utf-8'"},
    "libpq18": {},
    "libpq18_direct": {},
    "libpq18_gss": {},
    "libpq18_options": {"options": "-c podgate.pod=mydb -c geqo=off"},
    "node_pg": {"client_encoding": "UTF8"},
    "pg8000": {},
    "pgjdbc": {"client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Etc/UTC", "extra_float_digits": "2"},
    "psql15": {"application_name": "psql"},
}
BEFORE = {"asyncpg_direct": [], "libpq18_direct": [], "libpq18_gss": [Kind.POSTGRES_GSS, Kind.POSTGRES_SSL]}
BINDS = {"libpq18", "libpq18_direct", "libpq18_gss", "pg8000", "psql15"}
BY_ALPN = {"libpq18", "libpq18_direct", "libpq18_gss", "libpq18_options"}


def parse(data: bytes) -> Message | More:
    return parse_message(data, LARGEST_SASL)


def server(recorded: Opening) -> ScramServer:
    return ScramServer(
        [("other", verifier("other")), ("one", verifier(TOKEN))], SALT, ITERATIONS, recorded.binding, NONCE
    )


def test_all_of_them_are_expected() -> None:
    assert set(STARTUPS) == set(OPENINGS)


@pytest.mark.parametrize("name", OPENINGS)
def test_what_comes_before_tls(name: str) -> None:
    *requests, hello = opening(name).before
    kinds = BEFORE.get(name, [Kind.POSTGRES_SSL])
    assert len(requests) == len(kinds)
    for request, kind in zip(requests, kinds, strict=True):
        for end in range(len(request)):
            assert recognise(request[:end]) == More(end + 1)
        assert recognise(request) is kind
    found = whole(clienthello.parse, hello, clienthello.LARGEST)
    assert found.server_name == b"mydb.pods.localhost"
    assert (found.alpn == (b"postgresql",)) is (name in BY_ALPN)


@pytest.mark.parametrize("name", OPENINGS)
def test_the_startup_message(name: str) -> None:
    data = opening(name).inside[0]
    found = whole(parse_startup, data, LARGEST_STARTUP)
    assert found == Startup((3, 0), SHOP | STARTUPS[name], len(data))
    assert startup_message(found.version, found.parameters) == data
    named = name_the_pod(found)
    assert named.pod == ("mydb" if name == "libpq18_options" else "")
    assert named.parameters == (SHOP | {"options": "-c geqo=off"} if named.pod else found.parameters)


@pytest.mark.parametrize("name", OPENINGS)
def test_the_messages_of_scram(name: str) -> None:
    recorded = opening(name)
    initial, final = (whole(parse, data, LARGEST_SASL) for data in recorded.inside[1:])
    assert (initial.kind, final.kind) == (b"p", b"p")
    begun = parse_sasl_initial(initial.body)
    assert begun.mechanism == (PLUS if name in BINDS else PLAIN)
    assert sasl_initial(begun.mechanism, begun.data) == recorded.inside[1]
    assert sasl_response(final.body) == recorded.inside[2]
    for end in range(len(initial.body)):
        assert malformed(parse_sasl_initial, initial.body[:end]).startswith("sasl: ")


@pytest.mark.parametrize("name", OPENINGS)
def test_the_proof_counts_whole_and_here_only(name: str) -> None:
    recorded = opening(name)
    initial, final = recorded.inside[1:]
    begun = parse_sasl_initial(initial[5:])
    proof = final[5:]
    for data in (*(proof[:end] for end in range(len(proof))), proof + b"=", proof + b",x=1", proof + b"\0"):
        side = server(recorded)
        side.first(begun.mechanism, begun.data)
        with pytest.raises(Denied):
            side.final(data)
    side = server(recorded)
    side.first(begun.mechanism, begun.data)
    assert side.final(proof)[0] == "one"
    other = ScramServer([("one", verifier(TOKEN))], SALT, ITERATIONS, recorded.binding)
    other.first(begun.mechanism, begun.data)
    with pytest.raises(Denied, match="nonce"):
        other.final(proof)


@pytest.mark.parametrize("name", OPENINGS)
def test_every_beginning_of_the_first_message(name: str) -> None:
    """Of a beginning only the nonce may be short: everything before it has to be there."""
    recorded = opening(name)
    begun = parse_sasl_initial(recorded.inside[1][5:])
    nonce = begun.data.index(b",r=") + len(b",r=")
    for end in range(nonce + 1):  # up to an empty nonce
        with pytest.raises(Denied):
            server(recorded).first(begun.mechanism, begun.data[:end])
    for end in range(nonce + 1, len(begun.data) + 1):
        answer = server(recorded).first(begun.mechanism, begun.data[:end])
        assert answer.startswith(b"r=" + begun.data[nonce:end] + NONCE.encode() + b",s=")
