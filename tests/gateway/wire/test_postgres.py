import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.postgres import (
    LARGEST_STARTUP,
    LONGEST_TEXT,
    SSL_REQUEST_SIZE,
    CancelRequest,
    Startup,
    error_response,
    parse_startup,
)
from gateway.wire.verdict import More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

OPTIONS = {"user": "alice", "database": "shop"}


def packet(code: int, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body


def startup(body: bytes) -> bytes:
    return packet(0x30000, body)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "psql15_plain",
            Startup((3, 0), OPTIONS | {"options": "-c podgate.pod=mydb", "application_name": "psql"}, 84),
        ),
        ("libpq18_plain32", Startup((3, 2), OPTIONS, 34)),
        ("libpq18_cancel", CancelRequest(4242, bytes.fromhex("01020304"), 16)),
        ("libpq18_cancel32", CancelRequest(4242, bytes(range(32)), 44)),
    ],
)
def test_reads_real_clients(name: str, expected: Startup | CancelRequest) -> None:
    assert whole(parse_startup, recorded(name), LARGEST_STARTUP) == expected


def test_asks_for_the_header_and_then_for_the_packet() -> None:
    data = recorded("psql15_plain")
    assert parse_startup(data[:3]) == More(8)
    assert parse_startup(data[:8]) == More(84)
    request = recorded("psql15_starttls")[:SSL_REQUEST_SIZE]
    assert int.from_bytes(request[:4], "big") == SSL_REQUEST_SIZE


def test_a_negative_process_id_is_read_as_one() -> None:
    assert parse_startup(packet(80_877_102, b"\xff\xff\xff\xfe" + bytes(4))) == CancelRequest(-2, bytes(4), 16)


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        (b"\0", {}),
        (b"user\0\0\0", {"user": ""}),
        (b"user\0\xc3\xa9\0\0", {"user": "é"}),
        (b"user\0\xe9\0\0", {"user": "\udce9"}),  # not UTF-8: kept, not judged
    ],
)
def test_parameters(body: bytes, parameters: dict[str, str]) -> None:
    data = startup(body)
    assert whole(parse_startup, data, LARGEST_STARTUP) == Startup((3, 0), parameters, len(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((7).to_bytes(4, "big") + b"\0\3\0\0", "startup: packet of 7 bytes, expected 8 to 10000"),
        (b"\xff\xff\xff\xff\0\3\0\0", "startup: packet of 4294967295 bytes, expected 8 to 10000"),
        (packet(80_877_103, b""), "startup: SSLRequest inside tls, expected a startup message"),
        (packet(80_877_104, b""), "startup: GSSENCRequest inside tls, expected a startup message"),
        (packet(0x20000, b""), "startup: protocol 2.0, expected 3.x"),
        (packet(0x40001, b""), "startup: protocol 4.1, expected 3.x"),
        (startup(b""), "startup: parameters do not end with a pair and a zero byte"),
        (startup(b"user\0alice\0"), "startup: parameters do not end with a pair and a zero byte"),
        (startup(b"user\0\0"), "startup: parameters do not end with a pair and a zero byte"),
        (startup(b"user\0alice\0\0?"), "startup: parameters do not end with a pair and a zero byte"),
        (startup(b"\0alice\0\0"), "startup: parameter without a name"),
        (startup(b"a\0b\0a\0c\0\0"), "startup: parameter 2 has the name of an earlier one"),
        (packet(80_877_102, bytes(7)), "cancel request: secret of 3 bytes, expected 4 to 256"),
        (packet(80_877_102, bytes(261)), "cancel request: secret of 257 bytes, expected 4 to 256"),
    ],
)
def test_broken_packets_are_named(data: bytes, text: str) -> None:
    assert malformed(parse_startup, data) == text


def test_limits_hold_to_the_byte() -> None:
    longest = b"user\0" + b"a" * (LARGEST_STARTUP - 8 - 7) + b"\0\0"
    found = parse_startup(startup(longest))
    assert isinstance(found, Startup)
    assert found.size == LARGEST_STARTUP
    assert malformed(parse_startup, startup(b"o" + longest)[:8]).startswith("startup: packet of 10001 bytes")
    assert isinstance(parse_startup(packet(80_877_102, bytes(4 + 256))), CancelRequest)
    assert isinstance(parse_startup(packet(80_877_102, bytes(4 + 4))), CancelRequest)


@given(st.binary(max_size=300))
def test_garbage_is_malformed_or_unfinished(data: bytes) -> None:
    check_total(parse_startup, data, LARGEST_STARTUP)
    check_total(parse_startup, startup(data), LARGEST_STARTUP)
    check_total(parse_startup, packet(80_877_102, data), LARGEST_STARTUP)


def test_an_error_response_is_made_of_its_fields() -> None:
    assert error_response("3D000", "no pod", "create it") == (
        b"E\0\0\0\x2dSFATAL\0VFATAL\0C3D000\0Mno pod\0Hcreate it\0\0"
    )
    assert error_response("57P03", "later", severity="ERROR") == b"E\0\0\0\x21SERROR\0VERROR\0C57P03\0Mlater\0\0"


def test_texts_of_an_error_cannot_break_out_of_their_field() -> None:
    response = error_response("28000", "a\0Mb\udce9", "\0c")
    assert response.split(b"\0M")[1:] == [b"aMb?\0Hc\0\0"]
    assert int.from_bytes(response[1:5], "big") == len(response) - 1


def test_texts_of_an_error_stay_below_what_libpq_reads() -> None:
    response = error_response("28000", "€" * (LONGEST_TEXT + 1), "€" * 100_000)
    assert response.count("€".encode()) == 2 * LONGEST_TEXT
    assert len(response) < 30_000


@contextmanager
def refusing_server(response: bytes) -> Iterator[int]:
    """Serve one connection that is answered with `response` once its startup packet is whole; give the port."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            data = b""
            while isinstance(parse_startup(data), More):
                data += connection.recv(4096)
            connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("length", [10, LONGEST_TEXT])
def test_libpq_shows_message_and_hint(length: int) -> None:
    message, hint = "stopped".ljust(length, "é"), "start".ljust(length, "é")
    dsn = "host=127.0.0.1 user=alice dbname=shop sslmode=disable gssencmode=disable"
    with (
        refusing_server(error_response("57P03", message, hint)) as port,
        pytest.raises(psycopg.OperationalError) as raised,
    ):
        psycopg.connect(dsn, port=port)
    assert f"FATAL:  {message}\nHINT:  {hint}" in str(raised.value)
