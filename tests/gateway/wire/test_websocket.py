"""WebSocket frames: wsproto is the judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

from gateway.wire.verdict import Malformed
from gateway.wire.websocket import Kind, WebSocket, accept


def masked(kind: int, payload: bytes, *, last: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """Make a client's frame by hand."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([(0x80 if last else 0) | kind]) + length + mask + body


def read(data: bytes, size: int) -> bytes:
    server = WebSocket()
    return b"".join(server.read(data[at : at + size]) for at in range(0, len(data), size))


def test_the_answer_of_the_specification() -> None:
    answer = accept([b"dGhlIHNhbXBsZSBub25jZQ=="], [b"13"])  # RFC 6455, section 1.3
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("keys", "versions"),
    [
        ([], [b"13"]),
        ([b"dGhlIHNhbXBsZSBub25jZQ=="] * 2, [b"13"]),
        ([b"c2hvcnQ="], [b"13"]),
        ([b"%"], [b"13"]),
        ([b"dGhlIHNhbXBsZSBub25jZQ=="], []),
        ([b"dGhlIHNhbXBsZSBub25jZQ=="], [b"8"]),
    ],
)
def test_an_upgrade_that_cannot_be(keys: list[bytes], versions: list[bytes]) -> None:
    with pytest.raises(Malformed):
        accept(keys, versions)


@given(st.lists(st.binary(max_size=400), max_size=6), st.integers(1, 50), st.booleans())
def test_what_a_client_sends_arrives_however_it_is_cut(payloads: list[bytes], size: int, pings: bool) -> None:
    client, server = Connection(ConnectionType.CLIENT), WebSocket()
    data = b""
    for payload in payloads:
        data += client.send(BytesMessage(payload))
        data += client.send(Ping(payload[:9])) if pings else b""
    got = b"".join(server.read(data[at : at + size]) for at in range(0, len(data), size))
    assert got == b"".join(payloads)
    client.receive_data(server.owed)
    pongs = [bytes(event.payload) for event in client.events() if isinstance(event, Pong)]
    assert pongs == ([payload[:9] for payload in payloads[-1:]] if pings else [])  # nothing was sent between


def test_each_ping_is_answered_that_there_is_room_for() -> None:
    server = WebSocket()
    for payload in (b"one", b"two"):
        server.read(masked(9, payload))
        assert server.owed == server.frame(payload, Kind.PONG)
        server.owed = b""


def test_pings_without_end_are_owed_one_answer() -> None:
    server = WebSocket()
    server.read(masked(9, b"x" * 125) * 1000)
    assert len(server.owed) == 127


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_a_client_reads_what_it_is_sent(size: int) -> None:
    client, data = Connection(ConnectionType.CLIENT), bytes(range(256)) * (size // 256 + 1)
    client.receive_data(WebSocket().frame(memoryview(data)[:size]))
    assert b"".join(bytes(event.data) for event in client.events() if isinstance(event, BytesMessage)) == data[:size]


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_a_clients_frame_of_each_length(size: int) -> None:
    client, server = Connection(ConnectionType.CLIENT), WebSocket()
    assert server.read(client.send(BytesMessage(b"x" * size))) == b"x" * size


def test_a_message_in_frames_with_a_ping_between() -> None:
    server = WebSocket()
    data = masked(2, b"one", last=False) + masked(9, b"!") + masked(0, b"two", last=False) + masked(0, b"three")
    assert server.read(data) == b"onetwothree"
    assert server.owed == server.frame(b"!", Kind.PONG)


def test_a_goodbye_is_answered_and_is_the_end() -> None:
    client, server = Connection(ConnectionType.CLIENT), WebSocket()
    assert server.read(client.send(BytesMessage(b"last")) + client.send(CloseConnection(1000)) + b"more") == b"last"
    assert server.ended
    client.receive_data(server.owed)
    assert [type(event) for event in client.events()] == [CloseConnection]
    assert server.goodbye() == b""


def test_our_own_goodbye_is_said_once() -> None:
    client, server = Connection(ConnectionType.CLIENT), WebSocket()
    client.receive_data(server.goodbye())
    assert [type(event) for event in client.events()] == [CloseConnection]
    assert server.goodbye() == b""
    server.read(client.send(CloseConnection(1000)))
    assert (server.ended, server.owed) == (True, b"")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xc2\x80", "an extension that was not agreed on"),
        (masked(1, b"text"), "a frame of kind 1, expected binary"),
        (masked(3, b""), "a frame of kind 3, expected binary"),
        (b"\x82\x01a", "a client's frame without a mask"),
        (masked(9, b"", last=False), "a control frame in parts, or too long"),
        (masked(9, b"a" * 126), "a control frame in parts, or too long"),
        (masked(0, b"a"), "a message within another, or the rest of none"),
        (masked(2, b"a", last=False) + masked(2, b"b"), "a message within another, or the rest of none"),
        (b"\x82\xff" + b"\xff" * 12, "a frame of more than 63 bits"),
    ],
)
def test_what_no_client_may_send(data: bytes, text: str) -> None:
    for size in (1, len(data)):
        with pytest.raises(Malformed) as raised:
            read(data, size)
        assert str(raised.value) == f"websocket: {text}"


@given(st.binary(max_size=200), st.integers(1, 20))
def test_garbage_is_malformed_or_read(data: bytes, size: int) -> None:
    try:
        assert len(read(data, size)) <= len(data)
    except Malformed:
        return
