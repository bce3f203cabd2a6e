"""Drives an exchange as the relay does, with every cut of the bytes that a test asks for."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway.errors import Reason
from gateway.web.engine import Engine
from gateway.web.exchange import Exchange, Leaving
from gateway.web.rewriting import request_head
from gateway.web.visit import Admitted, Visit
from router.access import AccessLevel
from tests.gateway.web.site import engine as new_engine
from tests.gateway.web.site import head_of, route
from tests.gateway.web.site import visit as new_visit

PUBLIC = AccessLevel.PUBLIC
WHOLE, BYTES = 1 << 30, 1  # sizes of pieces
cut = pytest.mark.parametrize("size", [WHOLE, BYTES, 7], ids=["whole", "bytes", "sevens"])


def pieces(data: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[at : at + size] for at in range(0, len(data), size))


def rewritten(data: bytes, engine: Engine | None = None, visit: Visit | None = None) -> bytes:
    """Give the head that the pod is to receive for the request that `data` begins with."""
    engine, visit, head = engine or new_engine(route(PUBLIC)), visit or new_visit(), head_of(data)
    decision = engine.decide(head, visit)
    assert isinstance(decision, Admitted)
    return request_head(head, visit, decision)


@dataclass
class Talk:
    """A client, an exchange and an upstream, in the order in which a test has them speak."""

    first: bytes  # what the client has sent during the opening
    size: int = WHOLE  # of the pieces in which everything after the first head comes
    engine: Engine = field(default_factory=lambda: new_engine(route(PUBLIC)))
    visit: Visit = field(default_factory=new_visit)
    up: bytes = b""  # what the upstream has received
    down: bytes = b""  # what the client has received
    _waiting: list[bytes] = field(default_factory=list)  # sent by the client, not read yet

    def __post_init__(self) -> None:
        head = head_of(self.first)
        decision = self.engine.decide(head, self.visit)
        assert isinstance(decision, Admitted), decision
        self.exchange = Exchange(self.engine, self.visit, decision)
        opening = self.first if self.size == WHOLE else self.first[: head.size]
        self.up += bytes(self.exchange.start(head, opening))
        self.client(self.first[len(opening) :])

    def client(self, data: bytes) -> None:
        """Have the client send; what the exchange does not want yet stays in the socket."""
        self._waiting += [bytes(piece) for piece in pieces(data, self.size)]
        self._settle()

    def upstream(self, data: bytes) -> None:
        for piece in pieces(data, self.size):
            if self.exchange.leaving is None and not self.exchange.ending:
                self.down += bytes(self.exchange.down(piece))
                self._settle()

    def _settle(self) -> None:
        exchange = self.exchange
        while True:
            has_turn = exchange.held and not exchange.head_began and (exchange.raw or exchange.is_idle)
            if has_turn and exchange.leaving is None:
                self.up += bytes(exchange.up(b""))
                continue
            if not self._waiting or not exchange.wants_more:
                return
            piece = self._waiting.pop(0)
            passed = exchange.up(memoryview(piece))
            if exchange.leaving is None:  # otherwise the relay has nobody to send it to
                self.up += bytes(passed)

    def take_up(self) -> bytes:
        """Give what the upstream has received since it was asked last."""
        taken, self.up = self.up, b""
        return taken

    def take_down(self) -> bytes:
        taken, self.down = self.down, b""
        return taken


def left(talk: Talk) -> Leaving:
    assert talk.exchange.leaving is not None
    return talk.exchange.leaving


def refused(talk: Talk) -> Reason:
    answer = left(talk).answer
    assert answer is not None
    return _REASONS[answer.data[:13]]


_REASONS = {
    b"HTTP/1.1 400 ": Reason.MALFORMED,
    b"HTTP/1.1 413 ": Reason.TOO_LARGE,
    b"HTTP/1.1 502 ": Reason.UNREACHABLE,
}
