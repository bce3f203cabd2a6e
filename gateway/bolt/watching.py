"""Watch: what is looked at of a Bolt session in the relay, and what is put in place of it.

    frames     of a WebSocket, both ways
    logins     LOGON, going up: judged again, and never the client's own credentials (`gateway.bolt.again`)
    routing    tables, coming down: all addresses in them become the one the client came by

Which of the server's messages is a routing table tells the order: every message of a client but GOODBYE has one answer
that is no RECORD. So where a client wants tables both directions are counted, and otherwise nothing that comes down is
looked at.
"""

from collections import deque
from collections.abc import Callable

from gateway.transform import BITE, WHOLE, Broken, Data
from gateway.wire.bolt import GOODBYE, HELLO, LOGON, RECORD, ROUTE, ROUTE_MESSAGE, RUN, Message, Version
from gateway.wire.boltrouting import calls_for_table, with_address
from gateway.wire.boltstream import BoltStream
from gateway.wire.verdict import Malformed
from gateway.wire.websocket import WebSocket

UP_BITE = 16 * 1024  # bytes of a client's in one turn
MOST_LOGINS = 16  # in what came at once: six bytes may be one, and take 50 µs; drivers wait for what each is for
MOST_AWAITED = 256  # routing tables that a client may have asked for and not got yet
LogOn = Callable[[Message], bytes]


class Watch:
    """One session; see `gateway.transform`."""

    __slots__ = (
        "_address", "_answered", "_asked", "_awaited", "_calls", "_down", "_log_on", "_logins", "_socket", "_up",
    )  # fmt: skip

    held = b""
    leaving = None

    def __init__(
        self, version: Version, *, address: str = "", log_on: LogOn | None = None, socket: WebSocket | None = None
    ) -> None:
        """`address` is to stand in routing tables, if it is not empty; `log_on` makes the LOGON that goes up in place
        of the client's.
        """
        self._log_on = log_on
        self._logins = 0  # in what came last
        self._address = address
        self._socket = socket
        self._calls = version < ROUTE_MESSAGE
        self._up = BoltStream(self._goes_up, self._taken_up) if log_on is not None or address else None
        records = frozenset[int]() if self._calls else frozenset((RECORD,))
        self._down = BoltStream(self._comes_down, self._taken_down, records) if address else None
        self._asked = self._answered = 0  # messages of the client since HELLO; answers to them
        self._awaited: deque[int] = deque()  # which of the answers hold routing tables, or have them behind

    @property
    def is_idle(self) -> bool:
        """Whether it looks at nothing, so that the link needs it not."""
        return self._up is None and self._socket is None

    @property
    def ending(self) -> bool:
        """Whether the client has left its WebSocket."""
        return self._socket is not None and self._socket.ended

    @property
    def bite(self) -> int:
        """How many bytes of the upstream's are to be taken in one turn."""
        return BITE if self._down is not None else WHOLE

    @property
    def up_bite(self) -> int:
        """The same for the client's."""
        return UP_BITE

    @property
    def owed(self) -> bytes:
        """What is to go to the client, in answer to what came from it: of its WebSocket."""
        return self._socket.owed if self._socket is not None else b""

    def pay(self) -> bytes:
        """Take what is owed to the client."""
        owed = self.owed
        if self._socket is not None:
            self._socket.owed = b""
        return owed

    def upstream_ended(self) -> bool:
        """Have the client told so, in its WebSocket; that is all there is to do."""
        if self._socket is not None:
            self._socket.owed = self._socket.goodbye()
        return True

    def up(self, data: Data) -> Data:
        """Take bytes from the client; give those for the upstream. Raises Broken."""
        try:
            if self._socket is not None:
                data = self._socket.read(data)
            return self.up_plain(data)
        except Malformed as error:
            raise Broken(str(error)) from error

    def up_plain(self, data: Data) -> Data:
        """The same for bytes that were in no frame any more. Raises Malformed."""
        self._logins = 0
        return data if self._up is None else self._up.feed(data)

    def down(self, data: Data) -> Data:
        """Take bytes from the upstream; give those for the client. Raises Broken."""
        try:
            if self._down is not None:
                data = self._down.feed(data)
        except Malformed as error:
            raise Broken(f"the database cannot be understood: {error}") from error
        return data if self._socket is None or not data else self._socket.frame(data)

    # ---- what is seen

    def _goes_up(self, tag: int, data: Data, at: int) -> bool:
        if tag in (LOGON, HELLO):
            if self._log_on is not None:
                if tag == HELLO:
                    raise Malformed("bolt message: a second HELLO")
                self._asked += 1
                return True
        elif tag == GOODBYE:
            return False
        self._asked += 1
        if tag == ROUTE or (self._calls and tag == RUN and calls_for_table(data, at)):
            if len(self._awaited) >= MOST_AWAITED:
                raise Malformed(f"bolt message: more than {MOST_AWAITED} requests for routing tables at once")
            if self._address:
                self._awaited.append(self._asked)
        return False

    def _taken_up(self, message: Message, _data: bytes) -> bytes:
        if self._log_on is None:
            raise AssertionError("a message was taken out that nobody wanted")
        self._logins += 1
        if self._logins > MOST_LOGINS:
            raise Malformed(f"bolt message: more than {MOST_LOGINS} logins at once")
        return self._log_on(message)

    def _comes_down(self, tag: int, _data: Data, _at: int) -> bool:
        if tag != RECORD:
            self._answered += 1
            if self._awaited and self._awaited[0] < self._answered:  # a call that had no record
                self._awaited.popleft()
        if (tag == RECORD) is not self._calls:  # a table is in the answer, or in the one record behind it
            return False
        is_table = bool(self._awaited) and self._awaited[0] == self._answered
        if is_table:
            self._awaited.popleft()
        return is_table

    def _taken_down(self, message: Message, data: bytes) -> bytes:
        return with_address(message, self._address) or data
