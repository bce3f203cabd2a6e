import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import neo4j
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo4j import exceptions

from gateway.wire import bolt
from gateway.wire.bolt import HANDSHAKE_SIZE, LARGEST_MESSAGE, MAGIC, MOST_CHUNKS, Message, Proposal
from gateway.wire.packstream import Structure, Value, encode
from gateway.wire.verdict import More
from tests.gateway.wire.prefixes import check_total, malformed, recorded, whole

OFFERED = (Proposal(255, 1, 0), Proposal(5, 8, 8), Proposal(4, 4, 2), Proposal(3, 0, 0))


@pytest.mark.parametrize("name", ["neo4j_bolt44", "neo4j_bolt54"])
def test_reads_the_handshake_of_the_driver(name: str) -> None:
    handshake = recorded(name)[:HANDSHAKE_SIZE]
    assert whole(bolt.parse_handshake, handshake, HANDSHAKE_SIZE) == OFFERED


def test_places_that_propose_nothing_are_left_out() -> None:
    assert bolt.parse_handshake(MAGIC + bytes(4) + b"\0\1\4\4" + bytes(8)) == (Proposal(4, 4, 1),)
    assert bolt.parse_handshake(MAGIC + bytes(16)) == ()


def test_a_handshake_without_magic_is_malformed_from_its_first_byte() -> None:
    text = "bolt handshake: it does not begin with the magic number"
    for broken in [b"G", b"\x60\x61", MAGIC[:3] + b"\x18", b"GET / HTTP/1.1\r\n\r\n   "]:
        assert malformed(bolt.parse_handshake, broken) == text


@pytest.mark.parametrize(
    ("proposals", "version"),
    [
        ((), None),
        (OFFERED, (5, 8)),
        ((Proposal(255, 1, 0),), None),  # the manifest
        ((Proposal(255, 1, 255),), None),
        ((Proposal(5, 4, 0),), (5, 4)),
        ((Proposal(5, 9, 0),), None),
        ((Proposal(5, 9, 1),), (5, 8)),
        ((Proposal(5, 12, 3),), None),
        ((Proposal(5, 0, 9),), (5, 0)),
        ((Proposal(4, 0, 0),), (4, 0)),
        ((Proposal(4, 1, 1),), (4, 1)),
        ((Proposal(4, 2, 0), Proposal(5, 4, 4)), (4, 2)),  # the client's order counts
        ((Proposal(2, 0, 0), Proposal(3, 0, 0)), (3, 0)),
        ((Proposal(3, 1, 0),), None),
        ((Proposal(6, 0, 0),), None),
    ],
)
def test_chooses_the_best_known_version(proposals: tuple[Proposal, ...], version: tuple[int, int] | None) -> None:
    assert bolt.choose_version(proposals) == version


def test_replies_with_the_version_or_with_zeros() -> None:
    assert bolt.version_reply((5, 4)) == b"\0\0\4\5"
    assert bolt.version_reply(None) == bytes(4)


def test_reads_the_messages_of_the_driver() -> None:
    stream = recorded("neo4j_bolt54")[HANDSHAKE_SIZE:]
    hello = bolt.read_message(stream)
    assert isinstance(hello, Message)
    assert hello.tag == bolt.HELLO
    whole(bolt.read_message, stream[: hello.size], LARGEST_MESSAGE, trailing=[stream[hello.size :]])
    logon = whole(bolt.read_message, stream[hello.size :], LARGEST_MESSAGE)
    credentials: Value = {"scheme": "basic", "principal": "root", "credentials": "not a secret"}
    assert logon == Message(bolt.LOGON, (credentials,), len(stream) - hello.size)


def test_reads_the_hello_of_older_versions_with_its_credentials() -> None:
    hello = whole(bolt.read_message, recorded("neo4j_bolt44")[HANDSHAKE_SIZE:], LARGEST_MESSAGE)
    assert hello.tag == bolt.HELLO
    (fields,) = hello.fields
    assert isinstance(fields, dict)
    assert fields["credentials"] == "not a secret"


def chunked(payload: bytes, *sizes: int) -> bytes:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(payload[at : at + size])
        at += size
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in [*pieces, payload[at:], b""])


def test_reads_a_message_in_two_chunks_cut_anywhere_after_noops() -> None:
    payload = encode(Structure(bolt.HELLO, ({"user_agent": "test/1"},)))
    for cut in range(1, len(payload)):
        data = b"\0\0\0\0" + chunked(payload, cut)
        assert whole(bolt.read_message, data, LARGEST_MESSAGE) == Message(1, ({"user_agent": "test/1"},), len(data))


@given(st.text(), st.lists(st.integers(1, 9), max_size=20), st.integers(0, 5))
def test_any_cut_into_chunks_gives_the_same_message(text: str, sizes: list[int], noops: int) -> None:
    payload = encode(Structure(1, (text, b" " * 200)))
    data = bytes(2 * noops) + chunked(payload, *sizes)
    assert bolt.read_message(data) == Message(1, (text, b" " * 200), len(data))


def largest(size: int) -> bytes:
    """Make a message whose one chunk, with its header and its end, takes `size` bytes."""
    return chunked(b"\xb1\x01\xd2" + (size - 11).to_bytes(4, "big") + b"a" * (size - 11))


def test_limits_hold_to_the_byte() -> None:
    found = bolt.read_message(largest(LARGEST_MESSAGE))
    assert isinstance(found, Message)
    assert found.size == LARGEST_MESSAGE
    text = malformed(bolt.read_message, largest(LARGEST_MESSAGE + 1))
    assert text == f"bolt message: unfinished after {LARGEST_MESSAGE - 1} bytes, limit {LARGEST_MESSAGE}"
    text = malformed(bolt.read_message, b"\xff\xff")
    assert text == f"bolt message: chunk of 65535 bytes at 2, limit {LARGEST_MESSAGE} in all"


def test_limits_hold_to_the_chunk() -> None:
    message = chunked(b"\xb0\x01")
    assert isinstance(bolt.read_message(bytes(2 * (MOST_CHUNKS - 2)) + message), Message)
    text = f"bolt message: more than {MOST_CHUNKS} chunks"
    assert malformed(bolt.read_message, bytes(2 * (MOST_CHUNKS - 1)) + message) == text


def test_a_message_is_a_structure() -> None:
    assert malformed(bolt.read_message, chunked(b"\x90")) == "bolt message: a list, expected a structure"


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_unfinished(data: bytes) -> None:
    check_total(bolt.parse_handshake, data, HANDSHAKE_SIZE)
    check_total(bolt.parse_handshake, MAGIC + data, HANDSHAKE_SIZE)
    check_total(bolt.read_message, data, LARGEST_MESSAGE)
    check_total(bolt.read_message, b"\0" + data, LARGEST_MESSAGE)
    check_total(bolt.read_message, chunked(data), LARGEST_MESSAGE)


def test_a_failure_is_a_message_with_code_and_text() -> None:
    expected = Message(bolt.FAILURE, ({"code": "Neo.A.B.C", "message": "no"},), 33)
    assert whole(bolt.read_message, bolt.failure("Neo.A.B.C", "no"), LARGEST_MESSAGE) == expected


def test_a_long_message_is_cut_into_chunks() -> None:
    data = bolt.message(bolt.FAILURE, b"\0" * 70_000)
    assert data[:2] == b"\xff\xff"
    rest = len(data) - 2 - 0xFFFF - 2 - 2
    assert data[2 + 0xFFFF :][:2] == rest.to_bytes(2, "big")
    assert data[-2:] == b"\0\0"


@dataclass
class RefusingServer:
    """Answers every Bolt connection with the same FAILURE, using nothing but `gateway.wire`."""

    listener: socket.socket
    response: bytes
    version: bolt.Version
    connections: int = 0

    def run(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if not connection.recv(1, socket.MSG_PEEK):
                    return  # an empty connection ends the server
                self.connections += 1
                self.refuse(connection)

    def refuse(self, connection: socket.socket) -> None:
        data = b""
        while isinstance(proposals := bolt.parse_handshake(data), More):
            data += connection.recv(proposals.at_least - len(data))
        connection.sendall(bolt.version_reply(bolt.choose_version(proposals, self.version)))
        data = b""
        while isinstance(answer := bolt.read_message(data), More):
            data += connection.recv(answer.at_least - len(data))
        connection.sendall(self.response)
        while connection.recv(4096):
            pass  # what the driver sent behind its HELLO; then it hangs up


@contextmanager
def refusing(response: bytes, version: bolt.Version) -> Iterator[RefusingServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RefusingServer(listener, response, version)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            socket.create_connection(listener.getsockname()).close()
            thread.join()


DRIVER_ERRORS = [
    ("Neo.TransientError.General.DatabaseUnavailable", exceptions.DatabaseUnavailable, True),
    ("Neo.ClientError.Security.Forbidden", exceptions.Forbidden, False),
    ("Neo.ClientError.Security.Unauthorized", exceptions.AuthError, False),
    ("Neo.ClientError.Database.DatabaseNotFound", exceptions.ClientError, False),
]


@pytest.mark.parametrize("version", [(4, 4), (5, 4), (5, 8)])
@pytest.mark.parametrize(("code", "kind", "is_retryable"), DRIVER_ERRORS)
def test_the_driver_raises_the_code_and_the_message(
    code: str, kind: type[exceptions.Neo4jError], is_retryable: bool, version: bolt.Version
) -> None:
    text = "pod 'mygraph' is stopped; start it: podgate pod start mygraph"
    with refusing(bolt.failure(code, text, version), version) as server:
        uri = f"bolt://127.0.0.1:{server.listener.getsockname()[1]}"
        with neo4j.GraphDatabase.driver(uri, auth=("root", "not a secret")) as driver, pytest.raises(kind) as raised:
            driver.verify_connectivity()
    assert (raised.value.code, raised.value.message) == (code, text)
    assert raised.value.is_retryable() is is_retryable
    assert server.connections == 1
