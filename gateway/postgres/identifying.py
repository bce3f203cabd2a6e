"""Telling who a Postgres client is: by what it shows in TLS, or by what it answers to our questions.

The name of its database user is its name with us, and its password an API token: asked for by SCRAM-SHA-256, so that
the token itself is never sent, or in clear text where `+password` behind the name asks for that, which also takes a
JSON web token of the issuer people sign in with.

Source: PostgreSQL, "Message Flow", "Start-up", and "SASL Authentication".
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import Reason, Refusal
from gateway.failures import Failures
from gateway.postgres.client import read_message
from gateway.postgres.scram import Denied, ScramServer, salt_of_nobody
from gateway.proof import Proof, TokenProof, by_token, by_web_token, issuer_of
from gateway.tls import TlsClient
from gateway.waiting import pause
from gateway.wire import pgmessage
from gateway.wire.pgmessage import Auth
from gateway.wire.pgnaming import split_user
from gateway.wire.verdict import Malformed
from router.access import Principal
from router.credentials import LONGEST_NAME, SALTS_KEY, Credentials, Verifier, parse_verifier

ITERATIONS = 4096  # of SCRAM, that one who has no token is told, as those are who have (controller.tokens)
LARGEST_ANSWER = 16 * 1024  # bytes of a message by which a client logs in: a web token with many claims
_PEPPER = secrets.token_bytes(32)  # where there is no key that all workers know

Clock = Callable[[], float]


class Identified(NamedTuple):
    """Who a client is."""

    proof: Proof
    principal: Principal
    last_word: bytes = b""  # what it is still to be told before AuthenticationOk


class Identifying:
    """What is needed to tell who clients are; one for each connection."""

    def __init__(self, client: TlsClient, credentials: Credentials, failures: Failures, address: str) -> None:
        self._client = client
        self._credentials = credentials
        self._failures = failures
        self._address = address

    async def by_answer(self, user: str, clock: Clock, steady: Clock) -> Identified:
        """Ask a client that says it is `user`. Raises Refusal."""
        name, in_clear_text = split_user(user)
        try:
            proof, last_word = await (self._by_password(clock()) if in_clear_text else self._by_scram(name))
            why = "" if proof is not None else "no such token"
        except Malformed:
            await pause(self._failures.count(self._address, steady()))
            raise
        except Denied as denied:
            proof, last_word, why = None, b"", str(denied)
        principal = proof.principal(self._credentials, clock()) if proof is not None else None
        if proof is None or principal is None or principal.user != name:
            await pause(self._failures.count(self._address, steady()))
            raise Refusal(
                Reason.WRONG_TOKEN,
                f"the password is no valid API token of a user {shown(name)}",
                "The user is your Podgate name, and the password an API token of that user: podgate token create psql",
                for_log=why,
            )
        return Identified(proof, principal, last_word)

    async def _by_password(self, now: float) -> tuple[Proof | None, bytes]:
        await self._client.ask(pgmessage.authentication(Auth.CLEARTEXT))
        text = pgmessage.parse_password(await self._answer())
        issuer = issuer_of(text, self._credentials)
        if issuer is not None:
            return by_web_token(text, issuer, now), b""
        return by_token(text, self._credentials), b""

    async def _by_scram(self, name: str) -> tuple[Proof | None, bytes]:
        verifiers = self._verifiers(name)
        salt, iterations = self._salt_of_nobody(name), ITERATIONS
        if verifiers:
            salt, iterations = verifiers[0][1].salt, verifiers[0][1].iterations
        server = ScramServer(verifiers, salt, iterations, self._client.binding())
        await self._client.ask(pgmessage.offer(server.mechanisms))
        begun = pgmessage.parse_sasl_initial(await self._answer())
        first = server.first(begun.mechanism, begun.data)
        await self._client.ask(pgmessage.authentication(Auth.SASL_CONTINUE, first))
        token, last = server.final(await self._answer())
        return TokenProof(token), pgmessage.authentication(Auth.SASL_FINAL, last)

    def _verifiers(self, name: str) -> list[tuple[str, Verifier]]:
        """Give what tells the tokens of a user, all under the same salt: the client is told it before it is known
        which of them it holds.
        """
        tokens = self._credentials.tokens_of(name)
        found = [(token.id, parsed) for token in tokens if (parsed := parse_verifier(token.verifier)) is not None]
        return [
            (id_, verifier)
            for id_, verifier in found
            if (verifier.salt, verifier.iterations) == (found[0][1].salt, found[0][1].iterations)
        ]

    def _salt_of_nobody(self, name: str) -> bytes:
        """Give the salt of one who has no token, as if they had one: who has is nobody's business."""
        return salt_of_nobody(name, self._credentials.keys.get(SALTS_KEY, _PEPPER))

    async def _answer(self) -> bytes:
        """Receive what the client answers. Raises Malformed and Refusal."""
        message = await read_message(self._client, LARGEST_ANSWER)
        if message.kind != b"p":
            raise Malformed(f"login: message of kind {message.kind!r}, expected an answer")
        return message.body


def shown(name: str) -> str:
    """Quote a name as a client has sent it: it may hold anything."""
    return ascii(name[:LONGEST_NAME])


def by_certificate(proof: Proof, user: str, credentials: Credentials, now: float) -> Identified:
    """Take what a client has shown in TLS. Raises Refusal."""
    principal = proof.principal(credentials, now)
    name, _ = split_user(user)
    if principal is None:
        raise Refusal(
            Reason.UNIDENTIFIED,
            "your client certificate is not valid any more",
            "Get another: podgate certificate issue",
        )
    if principal.user != name:
        raise Refusal(
            Reason.FORBIDDEN,
            f"your client certificate is for {principal.user}, and your client connects as user {shown(name)}",
            f"Connect with user={principal.user}",
        )
    return Identified(proof, principal)
