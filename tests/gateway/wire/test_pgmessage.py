from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.pgmessage import (
    LARGEST_SASL,
    LONGEST_PASSWORD,
    MOST_MECHANISMS,
    Auth,
    CancelKey,
    ErrorFields,
    Message,
    SaslInitial,
    authentication,
    backend_key,
    cancel_request,
    message,
    negotiated_minor,
    offer,
    parse_authentication,
    parse_error,
    parse_key,
    parse_message,
    parse_offer,
    parse_password,
    parse_sasl_initial,
    password_message,
    sasl_initial,
    sasl_response,
    split_messages,
)
from gateway.wire.postgres import (
    LARGEST_STARTUP,
    LONGEST_SECRET,
    SHORTEST_SECRET,
    CancelRequest,
    Startup,
    error_response,
    parse_startup,
    startup_message,
)
from gateway.wire.verdict import Malformed, More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

LIMIT = 100  # bytes, of messages in these tests


def parse(data: bytes) -> Message | More:
    return parse_message(data, LIMIT)


def body_of(data: bytes) -> bytes:
    found = parse_message(data, 2 * LONGEST_PASSWORD)
    assert isinstance(found, Message)
    assert found.size == len(data)
    return found.body


# ---- any message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"S\0\0\0\x04", Message(b"S", b"", 5)),
        (b"Z\0\0\0\x05I", Message(b"Z", b"I", 6)),
        (b"\0\0\0\0\x04", Message(b"\0", b"", 5)),
        (b"p\0\0\0\x63" + bytes(95), Message(b"p", bytes(95), LIMIT)),
    ],
)
def test_reads_messages(data: bytes, expected: Message) -> None:
    assert whole(parse, data, LIMIT) == expected
    assert message(expected.kind, expected.body) == data


def test_asks_for_the_header_and_then_for_the_message() -> None:
    assert parse(b"") == More(5)
    assert parse(b"Z\0\0\0") == More(5)
    assert parse(b"Z\0\0\0\x0a") == More(11)


@pytest.mark.parametrize(
    ("length", "size"), [(0, 1), (3, 4), (LIMIT, LIMIT + 1), (0x80000000, 0x80000001), (0xFFFFFFFF, 0x100000000)]
)
def test_lengths_have_bounds(length: int, size: int) -> None:
    text = f"message: {size} bytes, expected 5 to {LIMIT}"
    assert malformed(parse, b"p" + length.to_bytes(4, "big")) == text


def test_a_view_is_read_like_bytes() -> None:
    assert parse_message(memoryview(b"Z\0\0\0\x05IZ"), LIMIT) == Message(b"Z", b"I", 6)


def one_by_one(data: bytes) -> list[tuple[bytes, bytes]] | More | str:
    """Split messages as `parse_message` reads them; give the text of the error if there is one."""
    found: list[tuple[bytes, bytes]] = []
    while True:
        try:
            first = parse_message(data, LIMIT)
        except Malformed as error:
            return str(error)
        if isinstance(first, More):
            return found or first
        found.append((first.kind, data[: first.size]))
        data = data[first.size :]


WHOLE = st.builds(message, st.sampled_from([b"S", b"K", b"Z"]), st.binary(max_size=LIMIT - 5))


@given(st.lists(WHOLE, max_size=4).map(b"".join), st.binary(max_size=LIMIT + 20))
def test_many_are_split_as_they_are_read_one_by_one(messages: bytes, rest: bytes) -> None:
    try:
        found: list[tuple[bytes, bytes]] | More | str = split_messages(messages + rest, LIMIT)
    except Malformed as error:
        found = str(error)
    assert found == one_by_one(messages + rest)


@given(st.binary(max_size=LIMIT + 20))
def test_garbage_is_malformed_or_unfinished(data: bytes) -> None:
    check_total(parse, data, LIMIT)


# ---- bodies


def test_authentication() -> None:
    assert authentication(Auth.OK) == b"R\0\0\0\x08\0\0\0\0"
    assert authentication(Auth.CLEARTEXT) == b"R\0\0\0\x08\0\0\0\x03"
    assert authentication(Auth.SASL_CONTINUE, b"r=") == b"R\0\0\0\x0a\0\0\0\x0br="
    assert parse_authentication(body_of(authentication(Auth.MD5, b"salt"))) == (Auth.MD5, b"salt")
    assert parse_authentication(b"\xff\xff\xff\xff") == (0xFFFFFFFF, b"")


def test_offers() -> None:
    data = offer(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
    assert data == b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    assert parse_offer(parse_authentication(body_of(data))[1]) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert parse_offer(b"\0") == ()
    assert len(parse_offer(b"X\0" * MOST_MECHANISMS + b"\0")) == MOST_MECHANISMS


def test_sasl_messages() -> None:
    assert sasl_initial("X", b"n,,") == b"p\0\0\0\x0dX\0\0\0\0\x03n,,"
    assert sasl_response(b"c=biws") == b"p\0\0\0\x0ac=biws"
    assert parse_sasl_initial(b"X\0\0\0\0\x03n,,") == SaslInitial("X", b"n,,")
    assert parse_sasl_initial(b"X\0\xff\xff\xff\xff") == SaslInitial("X", b"")
    assert parse_sasl_initial(b"\0\0\0\0\0") == SaslInitial("", b"")
    most = b"a" * LARGEST_SASL
    assert parse_sasl_initial(body_of(sasl_initial("X", most))).data == most


@pytest.mark.parametrize("text", ["", "secret", "é", "\udce9"])
def test_passwords(text: str) -> None:
    assert parse_password(body_of(password_message(text))) == text


def test_the_longest_password() -> None:
    assert len(parse_password(b"a" * (LONGEST_PASSWORD - 1) + b"\0")) == LONGEST_PASSWORD - 1


@pytest.mark.parametrize("number", [0, 1, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("size", [SHORTEST_SECRET, 32, LONGEST_SECRET])
def test_cancel_keys(number: int, size: int) -> None:
    key = CancelKey(number, bytes(range(size % 256)) + bytes(size - size % 256))
    assert parse_key(body_of(backend_key(key))) == key
    request = cancel_request(key)
    assert parse_startup(request) == CancelRequest(number, key.secret, len(request))


@pytest.mark.parametrize("name", ["libpq18_cancel", "libpq18_cancel32"])
def test_requests_are_those_of_libpq(name: str) -> None:
    found = parse_startup(recorded(name))
    assert isinstance(found, CancelRequest)
    assert cancel_request(CancelKey(found.process_id, found.secret)) == recorded(name)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\0", ErrorFields()),
        (b"SFEHLER\0VERROR\0C42P01\0Mnicht da\0Dganz\0Hweg\0Fx.c\0\0",
         ErrorFields("ERROR", "42P01", "nicht da", "ganz", "weg")),
        (b"SFATAL\0C28P01\0M\xff\0\0", ErrorFields("FATAL", "28P01", "\udcff")),
        (b"Mone\0Mtwo\0\0", ErrorFields(message="two")),
        (b"M\0\0", ErrorFields()),
    ],
)  # fmt: skip
def test_errors(body: bytes, expected: ErrorFields) -> None:
    assert parse_error(body) == expected


def test_errors_of_our_own_can_be_read() -> None:
    assert parse_error(body_of(error_response("3D000", "no pod", "create it"))) == ErrorFields(
        "FATAL", "3D000", "no pod", "", "create it"
    )


@pytest.mark.parametrize(
    ("body", "minor"),
    [
        (b"\0\3\0\0\0\0\0\0", 0),
        (b"\0\3\0\2\0\0\0\0", 2),
        (b"\0\0\0\2\0\0\0\0", 2),
        (b"\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0", 2),
    ],
)
def test_versions(body: bytes, minor: int) -> None:
    assert negotiated_minor(body) == minor


@pytest.mark.parametrize(
    ("read", "body", "text"),
    [
        (parse_authentication, b"\0\0\0", "authentication: kind of 4 bytes, 3 left"),
        (parse_offer, b"", "sasl: mechanisms do not end with an empty one"),
        (parse_offer, b"\0\0\0", "sasl: mechanisms do not end with an empty one"),
        (parse_offer, b"X\0", "sasl: mechanisms do not end with an empty one"),
        (parse_offer, b"X\0\0\0", "sasl: mechanisms do not end with an empty one"),
        (parse_offer, b"X\0\0Y", "sasl: mechanisms do not end with an empty one"),
        (parse_offer, b"X\0" * (MOST_MECHANISMS + 1) + b"\0", "sasl: 17 mechanisms, limit 16"),
        (parse_sasl_initial, b"", "sasl: mechanism without a zero at its end"),
        (parse_sasl_initial, b"X", "sasl: mechanism without a zero at its end"),
        (parse_sasl_initial, b"X\0\0\0\0", "sasl: length of 4 bytes, 3 left"),
        (parse_sasl_initial, b"X\0\0\0\0\2a", "sasl: data of 2 bytes, 1 left"),
        (parse_sasl_initial, b"X\0\0\0\0\1ab", "sasl: 1 bytes after the end of data"),
        (parse_sasl_initial, b"X\0\xff\xff\xff\xffa", "sasl: 1 bytes after the end of data"),
        (parse_sasl_initial, b"X\0\xff\xff\xff\xfe", "sasl: data of 4294967294 bytes, 0 left"),
        (parse_sasl_initial, b"X\0\0\0\4\1" + bytes(1025), "sasl: data of 1025 bytes, limit 1024"),
        (parse_password, b"", "password: expected one zero, at the end"),
        (parse_password, b"secret", "password: expected one zero, at the end"),
        (parse_password, b"sec\0ret\0", "password: expected one zero, at the end"),
        (parse_password, b"secret\0\0", "password: expected one zero, at the end"),
        (parse_password, b"a" * LONGEST_PASSWORD + b"\0", "password: 65536 bytes, limit 65535"),
        (parse_key, b"\0\0\0", "cancel key: process id of 4 bytes, 3 left"),
        (parse_key, bytes(7), "cancel key: secret of 3 bytes, expected 4 to 256"),
        (parse_key, bytes(261), "cancel key: secret of 257 bytes, expected 4 to 256"),
        (parse_error, b"", "error: fields do not end with a zero byte"),
        (parse_error, b"Mtext", "error: fields do not end with a zero byte"),
        (parse_error, b"Mtext\0", "error: fields do not end with a zero byte"),
        (parse_error, b"Mtext\0\0\0", "error: fields do not end with a zero byte"),
        (parse_error, b"Mtext\0\0more\0", "error: fields do not end with a zero byte"),
        (parse_error, b"Mtext\0\0Mtext\0\0", "error: fields do not end with a zero byte"),
        (negotiated_minor, bytes(3), "negotiate version: version of 4 bytes, 3 left"),
        (negotiated_minor, bytes(7), "negotiate version: number of options of 4 bytes, 3 left"),
        (negotiated_minor, b"\0\2\0\0\0\0\0\0", "negotiate version: protocol 2.0, expected 3.x"),
        (negotiated_minor, b"\0\3\0\0\0\0\0\1", "negotiate version: 1 options announced, 0 found"),
        (negotiated_minor, b"\0\3\0\0\0\0\0\0a\0", "negotiate version: 0 options announced, 1 found"),
        (negotiated_minor, b"\0\3\0\0\0\0\0\1a", "negotiate version: 1 options announced, 0 found"),
        (negotiated_minor, b"\0\3\0\0\xff\xff\xff\xff", "negotiate version: 4294967295 options announced, 0 found"),
    ],
)
def test_broken_bodies_are_named(read: Callable[[bytes], object], body: bytes, text: str) -> None:
    assert malformed(read, body) == text


BODIES = (
    parse_authentication, parse_offer, parse_sasl_initial, parse_password, parse_key, parse_error, negotiated_minor,
)  # fmt: skip


@given(st.binary(max_size=300), st.sampled_from(BODIES))
def test_garbage_in_bodies_is_malformed_or_read(body: bytes, read: Callable[[bytes], object]) -> None:
    check_total(read, body, 0)


@pytest.mark.parametrize("read", [parse_offer, parse_sasl_initial, parse_password, parse_error, negotiated_minor])
def test_no_text_shows_what_was_sent(read: Callable[[bytes], object]) -> None:
    assert "token" not in malformed(read, b"token\0token\0token")


def test_no_secret_in_a_repr() -> None:
    shown = [
        CancelKey(1, b"secret"),
        CancelRequest(1, b"secret", 18),
        SaslInitial("SCRAM-SHA-256", b"secret"),
        Message(b"p", b"secret", 11),
    ]
    assert "secret" not in repr(shown)


# ---- startup messages


TEXTS = st.binary(max_size=20).map(lambda data: data.replace(b"\0", b"").decode(errors="surrogateescape"))


@given(st.integers(0, 0xFFFF), st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=5))
def test_a_startup_message_is_read_back(minor: int, parameters: dict[str, str]) -> None:
    data = startup_message((3, minor), parameters)
    assert parse_startup(data) == Startup((3, minor), parameters, len(data))


@pytest.mark.parametrize("name", ["psql15_plain", "libpq18_plain32"])
def test_startup_messages_are_those_of_libpq(name: str) -> None:
    found = parse_startup(recorded(name))
    assert isinstance(found, Startup)
    assert startup_message(found.version, found.parameters) == recorded(name)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"": "x"}, "startup: parameter without a name"),
        ({"user": "a\0b"}, "text: holds a zero byte"),
        ({"us\0er": "a"}, "text: holds a zero byte"),
        ({"user": "\ud800"}, "text: holds a character that UTF-8 does not have"),
        ({"user": "a" * (LARGEST_STARTUP - 14)}, "startup: packet of 10001 bytes, expected 8 to 10000"),
    ],
)
def test_no_startup_message_holds_that(parameters: dict[str, str], text: str) -> None:
    with pytest.raises(Malformed) as raised:
        startup_message((3, 0), parameters)
    assert str(raised.value) == text


def test_the_largest_startup_message() -> None:
    assert len(startup_message((3, 0), {"user": "a" * (LARGEST_STARTUP - 15)})) == LARGEST_STARTUP


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_no_password_message_holds_that(text: str) -> None:
    with pytest.raises(Malformed):
        password_message(text)
