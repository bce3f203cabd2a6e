"""SCRAM-SHA-256, both sides: the gateway proves itself to databases, and lets clients prove that they know a token.

Sources: RFC 5802 and RFC 7677 (SCRAM), RFC 5929 (`tls-server-end-point`), and PostgreSQL's "SASL Authentication", which
takes the user's name from the startup message and ignores the one in here. Both sides hold one exchange and are thrown
away after it; whatever a peer sends out of turn, in the wrong form or without the right proof is `Denied`.

The library `scramp` serves the controller, and not here. It refuses the empty name that libpq sends, and it binds an
exchange to one verifier, so that 200 tokens mean 200 exchanges: 7.5 ms of cpu against 0.5 ms here.
"""

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from gateway.wire.pgmessage import LARGEST_SASL
from router.credentials import Verifier

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
LONGEST_NONCE = 256  # characters of a client's own; libpq's has 24
FEWEST_ITERATIONS, MOST_ITERATIONS = 4_096, 20_000  # that a database may ask of us: RFC 7677; 5 ms
KEPT_KEYS = 1_024  # logins whose keys are remembered

_END_POINT = "tls-server-end-point"
_NOBODY = bytes(32)  # a stored key that no client key leads to
_NONCE_BYTES = 18  # random ones, as in libpq
_EXTENSIONS = rb"(?:,[A-Za-ln-z]=[^,]*)*"  # optional ones are to be ignored; `m` is the kind that is not
_PRINTABLE = rb"[!-+\--~]"  # ASCII without the comma
_CLIENT_NONCE = _PRINTABLE + rb"{1,%d}" % LONGEST_NONCE
_CLIENT_FIRST = re.compile(
    rb"(?P<header>(?P<flag>n|y|p=[A-Za-z0-9.-]+),,)(?P<bare>n=[^,]*,r=(?P<nonce>" + _CLIENT_NONCE + rb")"
    + _EXTENSIONS + rb")"
)  # fmt: skip
_CLIENT_FINAL = re.compile(
    rb"(?P<unproven>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>" + _PRINTABLE + rb"+)"
    + _EXTENSIONS + rb"),p=(?P<proof>[A-Za-z0-9+/]{43}=)"
)  # fmt: skip
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>" + _PRINTABLE + rb"+),s=(?P<salt>[A-Za-z0-9+/]+={0,2}),i=(?P<iterations>[1-9][0-9]{0,8})"
    + _EXTENSIONS
)  # fmt: skip
_SERVER_FINAL = re.compile(rb"v=(?P<signature>[A-Za-z0-9+/]{43}=)" + _EXTENSIONS)


class Denied(Exception):
    """The peer did not prove what it had to; the text is for the log and holds nothing that was sent."""

    def __init__(self, text: str, sqlstate: str = "08P01") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate  # 28P01: the wrong proof; 28000: the wrong binding; 08P01: not SCRAM at all


def end_point_hash(certificate: x509.Certificate) -> bytes | None:
    """Give what a channel is bound to by the server's certificate (RFC 5929, 4.1); None where its signature has no
    hash, as Ed25519 has none, and binding is not to be offered.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


def salt_of_nobody(user: str, pepper: bytes, size: int = 16) -> bytes:
    """Make the salt to tell one who asks for a user that is not there: always the same one for a name, as of a user
    who is there, while the `pepper` is kept.
    """
    return hmac.digest(pepper, b"salt of " + user.encode(errors="surrogateescape"), "sha256")[:size]


class ScramServer:
    """The login of one client, who may know any of several tokens with verifiers under one salt.

    `binding` is the `end_point_hash` of the certificate shown to the client, None where binding cannot be offered.
    """

    __slots__ = ("_binding", "_first", "_header", "_iterations", "_nonce", "_salt", "_verifiers", "mechanisms")

    def __init__(
        self,
        verifiers: Sequence[tuple[str, Verifier]],
        salt: bytes,
        iterations: int,
        binding: bytes | None = None,
        nonce: str = "",
    ) -> None:
        self.mechanisms = [PLUS, PLAIN] if binding is not None else [PLAIN]
        self._verifiers = verifiers
        self._salt = salt
        self._iterations = iterations
        self._binding = binding
        self._nonce = nonce.encode("ascii") or _new_nonce()  # the whole one, once the client's part is known
        self._header = b""
        self._first = b""  # client-first-message-bare and server-first-message, with a comma between them

    def first(self, mechanism: str, message: bytes) -> bytes:
        """Read the client's first message; give the answer to it. Raises Denied."""
        if self._first:
            raise Denied("scram: a first message after the first")
        found = _match(_CLIENT_FIRST, message, "client-first message")
        self._check_binding(mechanism, found["flag"].decode("ascii"))
        self._nonce = found["nonce"] + self._nonce
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, base64.b64encode(self._salt), self._iterations)
        self._header = found["header"]
        self._first = found["bare"] + b"," + answer
        return answer

    def final(self, message: bytes) -> tuple[str, bytes]:
        """Read the client's proof; give the id of the token it knows and the answer that proves that we know it too.
        Raises Denied.
        """
        if not self._first:
            raise Denied("scram: a proof before the first message, or a second one")
        first, self._first = self._first, b""
        self._header, header = b"", self._header
        found = _match(_CLIENT_FINAL, message, "client-final message")
        bound = header + (self._binding or b"" if header.startswith(b"p") else b"")
        if not hmac.compare_digest(found["nonce"], self._nonce):
            raise Denied("scram: the nonce of the proof is not that of the exchange")
        if not hmac.compare_digest(found["binding"], base64.b64encode(bound)):
            raise Denied("scram: bound to another channel than this one", "28000")
        signed, proof = first + b"," + found["unproven"], base64.b64decode(found["proof"])
        for id_, verifier in self._verifiers:
            if _proves(verifier.stored, signed, proof):
                return id_, b"v=" + base64.b64encode(hmac.digest(verifier.server, signed, "sha256"))
        if not self._verifiers:
            _proves(_NOBODY, signed, proof)  # so that a user who is not there takes as long as one with a token
        raise Denied("scram: the proof fits no token of the user", "28P01")

    def _check_binding(self, mechanism: str, flag: str) -> None:
        if mechanism not in self.mechanisms:
            raise Denied("scram: a mechanism that was not offered")
        if (mechanism == PLUS) is not flag.startswith("p="):
            raise Denied("scram: mechanism and channel binding do not go together")
        if mechanism == PLUS and flag != f"p={_END_POINT}":
            raise Denied(f"scram: another kind of channel binding than {_END_POINT}")
        if flag == "y" and self._binding is not None:
            raise Denied("scram: the client was not told that we offer channel binding", "28000")  # by one in between


class ScramClient:
    """A login of our own to a server that offers `mechanisms`; `binding` is the `end_point_hash` of its certificate,
    None without TLS.
    """

    __slots__ = ("_bare", "_binding", "_header", "_nonce", "_password", "_signature", "done", "mechanism")

    def __init__(self, password: str, mechanisms: Sequence[str], binding: bytes | None = None, nonce: str = "") -> None:
        """Choose the mechanism. Raises Denied when the server offers none that we know."""
        if binding is not None and PLUS in mechanisms:
            self.mechanism, self._header = PLUS, b"p=%b,," % _END_POINT.encode("ascii")
        elif PLAIN in mechanisms:
            self.mechanism, self._header = PLAIN, b"n,," if binding is None else b"y,,"
            binding = None
        else:
            raise Denied("scram: the server offers no mechanism that we know")
        self.done = False  # whether the server has proved itself: without that its word is worth nothing
        self._password = password
        self._binding = binding or b""
        self._nonce = nonce.encode("ascii") or _new_nonce()
        self._bare = b""
        self._signature = b""

    def first(self) -> bytes:
        """Give the first message; the user's name in it is empty, as libpq's is."""
        self._bare = b"n=,r=" + self._nonce
        return self._header + self._bare

    def final(self, message: bytes) -> bytes:
        """Read the server's first message; give the proof. Raises Denied. Keys of a login not seen before take about
        1 ms, and up to 5 ms where the server asks for `MOST_ITERATIONS`.
        """
        if not self._bare or self._signature:
            raise Denied("scram: a first message out of turn")
        found = _match(_SERVER_FIRST, message, "server-first message")
        nonce, iterations = found["nonce"], int(found["iterations"])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Denied("scram: the nonce does not go on where ours ended")
        if not FEWEST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise Denied(f"scram: {iterations} iterations, expected {FEWEST_ITERATIONS} to {MOST_ITERATIONS}")
        client, stored, server = _keys(self._password, _decoded(found["salt"]), iterations)
        unproven = b"c=%b,r=%b" % (base64.b64encode(self._header + self._binding), nonce)
        signed = b",".join((self._bare, message, unproven))
        self._signature = hmac.digest(server, signed, "sha256")
        return unproven + b",p=" + base64.b64encode(_xor(client, hmac.digest(stored, signed, "sha256")))

    def verify(self, message: bytes) -> None:
        """Read the server's final message. Raises Denied unless it knows the password, or what is made of it."""
        if not self._signature or self.done:
            raise Denied("scram: a final message out of turn")
        if message.startswith(b"e="):
            raise Denied("scram: the server does not accept the proof", "28P01")
        found = _match(_SERVER_FINAL, message, "server-final message")
        if not hmac.compare_digest(base64.b64decode(found["signature"]), self._signature):
            raise Denied("scram: the server does not know the password")
        self.done = True


def _match(pattern: re.Pattern[bytes], message: bytes, what: str) -> re.Match[bytes]:
    if len(message) > LARGEST_SASL:
        raise Denied(f"scram: {what} of {len(message)} bytes, limit {LARGEST_SASL}")
    found = pattern.fullmatch(message)
    if found is None:
        raise Denied(f"scram: {what} is not made of the attributes it must have")
    return found


def _new_nonce() -> bytes:
    return base64.b64encode(secrets.token_bytes(_NONCE_BYTES))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Denied("scram: a salt that is not base64") from None


def _proves(stored: bytes, signed: bytes, proof: bytes) -> bool:
    """Tell whether a proof was made with the key that `stored` is the hash of."""
    client = _xor(proof, hmac.digest(stored, signed, "sha256"))
    return hmac.compare_digest(hashlib.sha256(client).digest(), stored)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(32, "big")


@lru_cache(KEPT_KEYS)
def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes, bytes]:
    """Derive the client key, the stored key and the server key."""
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(errors="surrogateescape"), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return client, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


def _prepared(password: str) -> str:
    """Normalise a password (RFC 4013); one that breaks the rules is taken as it is, as PostgreSQL does."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not text or any(table(letter) for letter in text for table in _PROHIBITED):
        return password
    right = [stringprep.in_table_d1(letter) for letter in text]
    if any(right) and not (right[0] and right[-1] and not any(map(stringprep.in_table_d2, text))):
        return password
    return text


_PROHIBITED = (
    stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3,
    stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7,
    stringprep.in_table_c8, stringprep.in_table_c9,
)  # fmt: skip
