"""What clients that are not ours offer in TLS: a real server reads what each says first, and shakes hands with it."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import certificate
from bench.load import openssl
from bench.paper.plan import BYTES, DRIVER, LIBPQ, PSYCOPG
from bench.peers.peer import HOST
from bench.process import running
from gateway.wire.cursor import Cursor
from tests.running import needs_resolver

ASK = """
import hashlib
import sys
from pathlib import Path
from bench.load import openssl
from bench.paper import graph, rows
from bench.paper.backends import Login, Way
from bench.paper.plan import BYTES, DRIVER
hashlib.sha256(b"an OpenSSL that was used before")
if sys.argv[1] == "pinned":
    openssl.pin()
client, port, ca = sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
way = Way("podgate", "127.0.0.1", port, Login("me", "secret", "here"), sys.argv[5], ca=ca)
(graph if client in (DRIVER, BYTES) else rows).ask(way, client, 1)
"""
X25519, AES_256, OF_TLS_1_3 = 0x001D, 0x1302, 0x13
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GROUPS, SHARES = 10, 51  # extensions (RFC 8446, 4.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[socket.socket, ssl.SSLContext]]:
    """Give a listening socket, and what shakes hands."""
    made = certificate.make(tmp_path / "authority")
    both = tmp_path / "both.pem"
    both.write_text(made.key + made.chain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60.0)
        yield listener, context


def offered(server: tuple[socket.socket, ssl.SSLContext], client: str, how: str, ca: Path) -> dict[str, list[int]]:
    """Let a client connect, shake hands with it, hang up, and give what it offered."""
    listener, context = server
    command = [sys.executable, "-c", ASK, how, client, str(listener.getsockname()[1]), str(ca), HOST]
    environment = openssl.unpinned() | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        connection, _address = listener.accept()
        connection.settimeout(60.0)
        with connection:
            if connection.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
                connection.recv(8)
                connection.sendall(b"S")
            size = int.from_bytes(connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)[3:])
            record = connection.recv(5 + size, socket.MSG_PEEK | socket.MSG_WAITALL)
            with context.wrap_socket(connection, server_side=True) as secure:
                assert secure.version() == "TLSv1.3"
        process.kill()
    return read(record)


def read(record: bytes) -> dict[str, list[int]]:
    """Take the ciphers, groups and key shares out of a client hello (RFC 8446, 4.1.2)."""
    cursor = Cursor(record[9:], "client hello")
    cursor.take(34, "version and random")
    cursor.block(1, "session id")
    ciphers = numbers(cursor.block(2, "cipher suites"))
    cursor.block(1, "compression methods")
    extensions, found = cursor.vector(2, "extensions"), dict[int, bytes]()
    while extensions.left:
        kind = extensions.number(2, "type")
        found[kind] = extensions.block(2, "extension")
    shares, keys = Cursor(found[SHARES][2:], "key shares"), list[int]()
    while shares.left:
        keys.append(shares.number(2, "group"))
        shares.block(2, "key")
    return {"ciphers": ciphers, "groups": numbers(found[GROUPS][2:]), "shares": keys}


def numbers(data: bytes) -> list[int]:
    """Read numbers of two bytes each."""
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


@needs_resolver
@pytest.mark.parametrize("client", [DRIVER, BYTES, PSYCOPG, LIBPQ])
def test_the_clients_of_the_paper_offer_one_group_and_one_cipher(
    server: tuple[socket.socket, ssl.SSLContext], client: str, tmp_path: Path
) -> None:
    found = offered(server, client, "pinned", tmp_path / "authority" / "ca.pem")
    assert (found["groups"], found["shares"]) == ([X25519], [X25519])
    assert [cipher for cipher in found["ciphers"] if cipher >> 8 == OF_TLS_1_3] == [AES_256]


@needs_resolver
@pytest.mark.parametrize("client", [BYTES, LIBPQ])
def test_left_alone_each_openssl_offers_more(
    server: tuple[socket.socket, ssl.SSLContext], client: str, tmp_path: Path
) -> None:
    found = offered(server, client, "left alone", tmp_path / "authority" / "ca.pem")
    assert len(found["groups"]) > 1
    assert len([cipher for cipher in found["ciphers"] if cipher >> 8 == OF_TLS_1_3]) > 1


def test_what_is_measured_does_not_take_over_the_clients_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(openssl.VARIABLE, openssl.ENVIRONMENT[openssl.VARIABLE])
    with running(["sh", "-c", f'echo "<${openssl.VARIABLE}>"'], tmp_path / "log") as program:
        program.process.wait(60)
    assert (tmp_path / "log").read_text() == "<>\n"
    monkeypatch.setenv(openssl.VARIABLE, "/etc/a-users.cnf")
    assert openssl.unpinned()[openssl.VARIABLE] == "/etc/a-users.cnf"
