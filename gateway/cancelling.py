"""Cancelling: Postgres clients end a running query by a key, on a connection of its own that may come to any worker.

Theory of operation. A client gets the key of its database as we rewrite it, so that it names its owner: the replica,
the worker there, and a slot of that worker. Whoever gets a CancelRequest reads the owner in it and passes it on: to
another worker by way of the supervisor (`gateway.passing`), to another replica from supervisor to supervisor
(`gateway.peers`). Nothing is shared, and one hop is all it takes. The owner compares the whole key and sends the
database its own one. It answers when the database has ended that connection, which PostgreSQL does after the signal is
sent; only then does the client's connection end, so that a client that waits for this knows that its signal is out.

    3.0   process id: replica, worker, slot (31 bits, so that it is positive); secret: 4 random bytes
    3.2   process id: the database's own; secret: the same 31 bits in 4 bytes, and 28 random ones

What guessing comes to. A key of 3.0 has 32 random bits, and a slot has to be named with each guess, so many open
sessions help nobody. An address (a /64 of IPv6) gets `RATE` guesses a second of each worker, and 2**31 of them are an
even chance: of one worker 68 years for one address, 2.5 days for 10,000 of them, and what is won is that one query of a
stranger has to be sent again. Keys of 3.2 have 224 random bits. A slot that is used again has a new secret, as has a
worker that is replaced.

Source: PostgreSQL, "Canceling Requests in Progress" and "Message Formats" (BackendKeyData, CancelRequest).
"""

import hmac
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from gateway.asking import Questions
from gateway.errors import Reason, Refusal
from gateway.failures import site_of
from gateway.upstream import connect
from gateway.waiting import TooSlow, readable, time_limit
from gateway.web.pacing import Pacer
from gateway.wire.pgmessage import CancelKey, cancel_request
from gateway.wire.postgres import CancelRequest
from router.model import Address

log = logging.getLogger("podgate.cancel")

REPLICA_BITS, WORKER_BITS, SLOT_BITS = 6, 8, 17
MOST_REPLICAS, MOST_WORKERS = 1 << REPLICA_BITS, 1 << WORKER_BITS
LAST_SLOT = (1 << SLOT_BITS) - 1  # the first is 1: no process id is 0
OWNER = 4  # bytes that name the owner
SHORT, LONG = 4, 32  # bytes of a secret: of 3.0, and of 3.2 as PostgreSQL 18 makes them itself

RATE, BURST = 1.0, 10  # wrong ones a second of one address, and how many at once
DELIVERY = 5.0  # seconds for the database to take a cancel and end that connection
PATIENCE = DELIVERY + 1.0  # seconds for an answer from whoever passes it on
MOST_UNDER_WAY = 256  # of a worker at once, as an entrance and as an owner
MOST_OF_ONE = 64  # of these, from one address; and of one host, whose database may be slow on purpose
COMPLAINT_PAUSE = 10.0  # seconds between two log lines about what is dropped


class Owner(NamedTuple):
    """Where a session is held."""

    replica: int
    worker: int
    slot: int

    def to_number(self) -> int:
        """Pack it into 31 bits."""
        return (self.replica << WORKER_BITS | self.worker) << SLOT_BITS | self.slot


def owner_of(key: CancelKey) -> Owner | None:
    """Read whom a key names; None: it is not of our making."""
    if len(key.secret) == SHORT:
        number = key.process_id
    elif len(key.secret) == LONG:
        number = int.from_bytes(key.secret[:OWNER], "big")
    else:
        return None
    owner = Owner(number >> SLOT_BITS + WORKER_BITS, number >> SLOT_BITS & MOST_WORKERS - 1, number & LAST_SLOT)
    return owner if 0 <= owner.replica < MOST_REPLICAS and owner.slot else None


@dataclass(slots=True, eq=False)
class Session:
    """A client's connection to a database, as long as its queries can be cancelled."""

    key: CancelKey  # the client's
    host: str
    address: Address  # of its database
    _real: CancelKey  # the database's
    _slot: int
    _held: "dict[int, Session]"

    async def interrupt(self) -> None:
        """Tell the database to end what it does for this session. Raises OSError and TooSlow."""
        with time_limit(DELIVERY):
            await _send(self.address, self._real)

    @property
    def process_id(self) -> int:
        """Of the database's own process."""
        return self._real.process_id

    def end(self) -> None:
        """Forget it; its key is stale from now on."""
        if self._held.get(self._slot) is self:
            del self._held[self._slot]


class Sessions:
    """The sessions of a worker. All of it belongs to the loop's thread."""

    def __init__(
        self,
        replica: int = 0,
        worker: int = 0,
        questions: Questions | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`questions` reach the supervisor, for what is not ours."""
        self._replica, self._worker = replica, worker
        self._questions = questions if questions is not None else Questions()
        self._steady = steady
        self._held: dict[int, Session] = {}
        self._last = 0  # slot given out last: each is used again as late as can be
        self._pacer = Pacer()
        self._coming: Counter[str] = Counter()  # under way, by the address they came from
        self._going: Counter[str] = Counter()  # the same by the host they go to
        self._complained = -COMPLAINT_PAUSE

    def enter(self, host: str, address: Address, key: CancelKey, *, long: bool) -> Session:
        """Hold a session whose database is at `address` and has given `key`; `long`: the client speaks 3.2.

        Raises Refusal when all slots are taken.
        """
        slot = self._free_slot()
        number = Owner(self._replica, self._worker, slot).to_number()
        if long:
            ours = CancelKey(key.process_id, number.to_bytes(OWNER, "big") + secrets.token_bytes(LONG - OWNER))
        else:
            ours = CancelKey(number, secrets.token_bytes(SHORT))
        session = self._held[slot] = Session(ours, host, address, key, slot, self._held)
        return session

    def __len__(self) -> int:
        """Count them."""
        return len(self._held)

    async def cancel(self, request: CancelRequest, client_ip: str, host: str | None) -> None:
        """Do what a client asks for, if its key is right; done when the database has been told, or is not to be.

        `host` is the server name it came by, None for plaintext.
        """
        guesser = ("cancel", site_of(client_ip))
        if self._pacer.wait(guesser, RATE, BURST - 1, self._steady()):
            return self._complain("%s has sent too many wrong cancel keys; not looking at more", client_ip)
        if not _has_room(self._coming, guesser[1]):
            return self._complain("more than %d cancels under way; dropping one of %s", MOST_OF_ONE, client_ip)
        with _counted(self._coming, guesser[1]):
            is_right = await self._lead(CancelKey(request.process_id, request.secret), host)
        if is_right:
            log.info("%s: cancelled a query", client_ip)
        else:  # an unanswered one counts, too: what cannot be told apart from a guess is one
            self._pacer.charge(guesser, RATE, BURST - 1, self._steady())
            log.info("%s: cancel request without effect: wrong or stale key", client_ip)
        return None

    async def deliver(self, key: CancelKey, host: str | None = None) -> bool:
        """Tell the database, if the key is that of a session here; tell whether it is. For what others pass on, too."""
        session = self._find(key, host)
        if session is None:
            return False
        if not _has_room(self._going, session.host):
            self._complain("more than %d cancels for %s under way; dropping one", MOST_OF_ONE, session.host)
            return True
        try:
            with _counted(self._going, session.host):
                await session.interrupt()
        except (TooSlow, OSError) as error:
            log.warning("%s: its database did not take a cancel: %s", session.host, error)
        return True

    async def _lead(self, key: CancelKey, host: str | None) -> bool:
        """Bring a key to its owner; tell whether it was right there."""
        owner = owner_of(key)
        if owner is None:
            return False
        if owner[:2] == (self._replica, self._worker):
            return await self.deliver(key, host)
        answer = await self._questions.ask({"what": "cancel", **to_document(key, host)}, PATIENCE)
        return answer is not None and answer["right"] is True

    def _find(self, key: CancelKey, host: str | None) -> Session | None:
        owner = owner_of(key)
        if owner is None or owner[:2] != (self._replica, self._worker):
            return None
        session = self._held.get(owner.slot)
        if session is None or not hmac.compare_digest(_bytes(session.key), _bytes(key)):
            return None
        return session if host is None or host == session.host else None

    def _free_slot(self) -> int:
        if len(self._held) >= LAST_SLOT:
            raise Refusal(Reason.TOO_MANY, f"this gateway holds {LAST_SLOT} sessions already", "Try again later.")
        slot = self._last % LAST_SLOT + 1
        while slot in self._held:
            slot = slot % LAST_SLOT + 1
        self._last = slot
        return slot

    def _complain(self, text: str, *values: object) -> None:
        now = self._steady()
        if now - self._complained >= COMPLAINT_PAUSE:
            self._complained = now
            log.warning(text, *values)


def to_document(key: CancelKey, host: str | None) -> dict[str, object]:
    """Give the JSON form in which a key travels between a worker and its supervisor."""
    return {"process_id": key.process_id, "secret": key.secret.hex(), "host": host}


def from_document(document: dict[str, object]) -> tuple[CancelKey, str | None]:
    """Read the same back, and the server name it came by."""
    host, number = document["host"], document["process_id"]
    if not isinstance(number, int):
        raise TypeError(f"process id: expected a number, got {type(number).__name__}")
    return CancelKey(number, bytes.fromhex(str(document["secret"]))), None if host is None else str(host)


async def _send(address: Address, key: CancelKey) -> None:
    """Send a database a CancelRequest and wait for its end of the connection. Raises OSError."""
    upstream = await connect(address)
    try:
        upstream.sendall(cancel_request(key))  # at most 268 bytes, into the empty buffer of a new connection
        await readable(upstream)
        upstream.recv(1)  # an end, or an error, or something that no database says: over in any case
    finally:
        upstream.close()


def _bytes(key: CancelKey) -> bytes:
    return key.process_id.to_bytes(4, "big", signed=True) + key.secret


def _has_room(under_way: Counter[str], of: str) -> bool:
    return under_way[of] < MOST_OF_ONE and under_way.total() < MOST_UNDER_WAY


@contextmanager
def _counted(under_way: Counter[str], of: str) -> Iterator[None]:
    """Count one more for as long as the block runs."""
    under_way[of] += 1
    try:
        yield
    finally:
        under_way[of] -= 1
        if not under_way[of]:
            del under_way[of]
