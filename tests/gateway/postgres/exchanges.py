"""Both sides of SCRAM by themselves, as far as a test has them come, and what they deny."""

import base64
import hashlib
from collections.abc import Callable

import pytest

from gateway.postgres.scram import PLAIN, Denied, ScramClient, ScramServer
from tests.gateway.postgres.logins import ITERATIONS, NONCE, SALT, TOKEN, verifier

BINDING = hashlib.sha256(b"a certificate").digest()
FIRST = b"n=,r=abc"
PROOF = b"p=" + base64.b64encode(bytes(32))
KNOWN = verifier(TOKEN)
WHOLE_NONCE = b"r=abc" + NONCE.encode()


def server(*tokens: str, binding: bytes | None = None) -> ScramServer:
    return ScramServer([(token, verifier(token)) for token in tokens], SALT, ITERATIONS, binding, NONCE)


def begun() -> ScramServer:
    side = server(TOKEN)
    side.first(PLAIN, b"n,," + FIRST)
    return side


def asked() -> ScramClient:
    client = ScramClient(TOKEN, [PLAIN], None, "mine")
    client.first()
    return client


def log_in(side: ScramServer, client: ScramClient) -> str:
    answer = side.first(client.mechanism, client.first())
    token, last = side.final(client.final(answer))
    client.verify(last)
    return token


def denied(call: Callable[..., object], *arguments: object) -> tuple[str, str]:
    """Give the text and the SQLSTATE that `call` is denied with."""
    with pytest.raises(Denied) as raised:
        call(*arguments)
    return str(raised.value), raised.value.sqlstate
