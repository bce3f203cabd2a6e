"""OpenSSL without a copy: the calls of the hot path, on buffers of our own.

pyOpenSSL's `recv` allocates a buffer for each call and copies out of it, and `send` wraps its argument anew each time;
on small messages that is a tenth of all a gateway does. So the relay calls what pyOpenSSL calls, with the names
pyOpenSSL has for it. They are private: `tests/gateway/test_openssl.py` fails when a new version has moved them.

All calls release the interpreter's lock. The pointers they take are made by `pointer_to`.
"""

from enum import Enum, auto
from typing import Any

from OpenSSL import SSL

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]

Handle = Any  # of a connection inside OpenSSL (SSL *)
Pointer = Any  # to bytes (char *); adding to it moves it on

read = _lib.SSL_read  # (handle, pointer, size) -> bytes read, or 0 or less: ask `why`
write = _lib.SSL_write  # (handle, pointer, size) -> bytes written, or 0 or less: ask `why`
do_handshake = _lib.SSL_do_handshake  # (handle) -> 1, or 0 or less: ask `why`
shutdown = _lib.SSL_shutdown  # (handle) -> 0 or more once close_notify is sent, or less: ask `why`


class Why(Enum):
    """Why a call did not do its work."""

    WANT_READ = auto()  # more must come from the peer
    WANT_WRITE = auto()  # there must be room to send
    GOODBYE = auto()  # the peer has sent close_notify
    LOST = auto()  # the connection failed, or ended without close_notify


def handle_of(connection: SSL.Connection) -> Handle:
    """Give a connection's handle, which lives as long as anybody holds it, with or without the connection."""
    return connection._ssl


def read_record_by_record(handle: Handle) -> None:
    """Have a call look at one record, and say WANT_READ if it had no bytes for us.

    pyOpenSSL has it go on until there are some, for as long as a client sends other records, such as key updates.
    """
    _lib.SSL_clear_mode(handle, _lib.SSL_MODE_AUTO_RETRY)


def pointer_to(buffer: bytes | bytearray | memoryview) -> Pointer:
    """Point to the first byte of a buffer, and keep it alive."""
    return _ffi.from_buffer(buffer)


def bytes_at(pointer: Pointer, size: int) -> bytes:
    """Copy what is there."""
    copied: bytes = _ffi.buffer(pointer, size)[:]
    return copied


def why(handle: Handle, result: int) -> Why:
    """Tell why a call returned `result`; to be asked at once. Leaves OpenSSL's queue of errors empty."""
    error = _lib.SSL_get_error(handle, result)
    if error == _lib.SSL_ERROR_WANT_READ:
        return Why.WANT_READ
    if error == _lib.SSL_ERROR_WANT_WRITE:
        return Why.WANT_WRITE
    _lib.ERR_clear_error()  # what is left there would be taken for the next call's
    return Why.GOODBYE if error == _lib.SSL_ERROR_ZERO_RETURN else Why.LOST
