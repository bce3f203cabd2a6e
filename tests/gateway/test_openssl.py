"""The private names borrowed from pyOpenSSL are where we look for them, and mean what we take them to mean."""

from OpenSSL import SSL

from certs.leaf import Leaf
from gateway import openssl
from gateway.openssl import Why
from gateway.tls import server_context
from tests.peers import tcp_pair


def test_a_connection_without_bytes_wants_to_read(leaf: Leaf) -> None:
    ours, theirs = tcp_pair()
    ours.setblocking(False)
    connection = SSL.Connection(server_context(leaf, ()), ours)
    connection.set_accept_state()
    handle = openssl.handle_of(connection)
    assert openssl.why(handle, openssl.do_handshake(handle)) is Why.WANT_READ
    theirs.sendall(b"this is no handshake")
    assert openssl.why(handle, openssl.do_handshake(handle)) is Why.LOST
    assert openssl.why(handle, openssl.read(handle, openssl.pointer_to(bytearray(16)), 16)) is Why.LOST
    ours.close()
    theirs.close()


def test_a_pointer_leads_to_the_bytes_of_its_buffer() -> None:
    pointer = openssl.pointer_to(memoryview(bytearray(b"0123456789")))
    assert openssl.bytes_at(pointer + 3, 4) == b"3456"
    assert openssl.bytes_at(pointer, 0) == b""
