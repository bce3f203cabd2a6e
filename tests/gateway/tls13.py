"""A TLS 1.3 client's records made by hand, for what no TLS library sends (RFC 8446, sections 5.2, 5.3 and 7.3)."""

import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HANDSHAKE, DATA = 22, 23  # kinds of records
KEY_UPDATE = bytes((24, 0, 0, 1, 0))  # the peer need not answer with its own


class Records:
    """Goes on with a connection of TLS_AES_128_GCM_SHA256 where its client stopped; nothing was sent on it yet."""

    def __init__(self, secret: bytes) -> None:
        """Take the client's traffic secret."""
        self._use(secret)

    def record(self, kind: int, data: bytes) -> bytes:
        """Give the next record."""
        inner = data + bytes((kind,))
        header = struct.pack(">BHH", DATA, 0x303, len(inner) + 16)
        nonce = (int.from_bytes(self._iv, "big") ^ self._number).to_bytes(12, "big")
        self._number += 1
        return header + self._key.encrypt(nonce, inner, header)

    def key_update(self) -> bytes:
        """Give a record that changes the keys, and change them."""
        record = self.record(HANDSHAKE, KEY_UPDATE)
        self._use(_expand(self._secret, b"traffic upd", 32))
        return record

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._key = AESGCM(_expand(secret, b"key", 16))
        self._iv = _expand(secret, b"iv", 12)
        self._number = 0


def secret_of(keylog: str) -> bytes:
    """Find the client's traffic secret in a key log (the format of SSLKEYLOGFILE)."""
    lines = [line.split() for line in keylog.splitlines()]
    return next(bytes.fromhex(line[2]) for line in lines if line and line[0] == "CLIENT_TRAFFIC_SECRET_0")


def _expand(secret: bytes, name: bytes, size: int) -> bytes:
    label = b"tls13 " + name
    return HKDFExpand(SHA256(), size, struct.pack(">HB", size, len(label)) + label + b"\0").derive(secret)
