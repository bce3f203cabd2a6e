"""Messages in a stream of Bolt, as it comes: most are let through as they are, some are taken out to be replaced.

Written for speed, because every record of a routed session passes here (about 0.3 µs each): a message costs a look at
the header of each of its chunks, and a batch in which nothing is taken out passes as it is. What kind of message it is
tells its second byte; until that is there, however its sender cuts it, nothing of it is passed.
"""

from collections.abc import Callable

from gateway.wire.bolt import LARGEST_MESSAGE, Message, read_message
from gateway.wire.verdict import Malformed, More

Data = bytes | memoryview
Begins = Callable[[int, Data, int], bool]
_NONE = frozenset[int]()
_STRUCTURE = 0xB0  # the high half of the markers of structures (PackStream)


class BoltStream:
    """One direction of a connection, from its first message on.

    `begins` is told the tag of each message, with the data and the place in it of its first chunk's payload; it tells
    whether the message is to be taken out. `take` is then given the message and its bytes, and gives what goes on in
    its place. Of tags in `passing` it is not told.
    """

    __slots__ = ("_begins", "_enough", "_held", "_is_open", "_is_taking", "_passing", "_rest", "_take")

    def __init__(
        self, begins: Begins, take: Callable[[Message, bytes], bytes], passing: frozenset[int] = _NONE
    ) -> None:
        self._begins = begins
        self._passing = passing
        self._take = take
        self._held = b""  # the beginning of a chunk's header, or of a message of which more is needed
        self._enough = 0  # bytes of it before another look is worth while
        self._rest = 0  # bytes of a chunk that are still to pass
        self._is_open = False  # within a message that passes
        self._is_taking = False  # what is held is a message that is being taken out

    def feed(self, data: Data) -> Data:
        """Take what comes; give what goes on. Raises Malformed."""
        if self._held:
            data, self._held = self._held + bytes(data), b""
            if len(data) < self._enough:
                self._held = data
                return b""
        self._enough = 0
        size, at = len(data), min(self._rest, len(data))
        self._rest -= at
        if self._rest:
            return data
        is_open, passed, parts = self._is_open, 0, list[Data]()
        seen, passing = bytes(data), self._passing  # of which single bytes are quicker to get
        while at + 2 <= size:
            length = seen[at] << 8 | seen[at + 1]
            if is_open:
                at += 2 + length
                is_open = length > 0
            elif not length:  # a NOOP
                at += 2
            elif length > 1 and at + 4 <= size and seen[at + 3] in passing and seen[at + 2] & 0xF0 == _STRUCTURE:
                at += 2 + length
                is_open = True
            elif self._is_to_be_taken(data, at, length):
                message = self._whole(data, at)
                if message is None:
                    break
                parts += (data[passed:at], self._take(message, bytes(data[at : at + message.size])))
                passed = at = at + message.size
            elif self._enough:
                break
            else:
                at += 2 + length
                is_open = True
        self._is_open = is_open
        return self._passed(data, passed, at, parts)

    def _is_to_be_taken(self, data: Data, at: int, length: int) -> bool:
        """Tell whether the message that begins `at` a place is; if that cannot be told, what is `_enough` to tell."""
        self._enough = 0
        if self._is_taking:
            return True
        if length > 1 and len(data) >= at + 4:
            marker, tag = data[at + 2], data[at + 3]
        else:
            found = _first_bytes(data, at)
            if isinstance(found, More):
                self._enough = found.at_least - at
                return False
            marker, tag = found
        if marker & 0xF0 != _STRUCTURE:
            raise Malformed("bolt message: something else than a structure")
        return self._begins(tag, data, at + 2)

    def _whole(self, data: Data, at: int) -> Message | None:
        """Give the message that begins `at` a place, None while it is not whole."""
        message = read_message(data[at : at + LARGEST_MESSAGE + 2])
        self._is_taking = isinstance(message, More)
        if isinstance(message, More):
            self._enough = message.at_least
            return None
        return message

    def _passed(self, data: Data, passed: int, at: int, parts: list[Data]) -> Data:
        """Give what may go on of the data, of which all `at` a place and behind it is not seen through."""
        size = len(data)
        if at > size:
            self._rest = at - size
        elif at < size:
            self._held = bytes(data[at:])
            self._enough = max(self._enough, 2)
        if not parts:
            return data if at >= size else data[:at]
        parts.append(data[passed : min(at, size)])
        return b"".join(parts)


def _first_bytes(data: Data, at: int) -> tuple[int, int] | More:
    """Give the first two bytes of a message that begins `at` a place, however small its chunks are."""
    found = list[int]()
    while len(found) < 2:
        if len(data) < at + 3:
            return More(at + 3)
        length = data[at] << 8 | data[at + 1]
        if not length:
            raise Malformed("bolt message: of one byte")
        if length > 1 and len(data) < at + 4 and not found:
            return More(at + 4)
        found += data[at + 2 : at + 2 + min(length, 2)]
        at += 2 + length
    return found[0], found[1]
