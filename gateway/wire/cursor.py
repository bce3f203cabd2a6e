"""A cursor over a complete buffer: every length is checked before anything is taken, and a short one is `Malformed`."""

from gateway.wire.verdict import Malformed


class Cursor:
    """Reads `data` from its beginning; `phase` begins the text of every error."""

    __slots__ = ("_at", "_data", "_phase")

    def __init__(self, data: bytes | memoryview, phase: str) -> None:
        self._data = bytes(data)
        self._phase = phase
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes were not taken yet."""
        return len(self._data) - self._at

    def take(self, size: int, what: str) -> bytes:
        """Take `size` bytes."""
        if size > self.left:
            raise Malformed(f"{self._phase}: {what} of {size} bytes, {self.left} left")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def number(self, size: int, what: str) -> int:
        """Take an unsigned big-endian number of `size` bytes."""
        return int.from_bytes(self.take(size, what), "big")

    def vector(self, length_size: int, what: str) -> "Cursor":
        """Take a length of `length_size` bytes and so many bytes after it; read these by a cursor of their own."""
        return Cursor(self.block(length_size, what), self._phase)

    def block(self, length_size: int, what: str) -> bytes:
        """Take a length of `length_size` bytes; give the bytes after it."""
        start = self._at + length_size
        end = start + int.from_bytes(self._data[self._at : start], "big")
        if end > len(self._data):
            return self.take(self.number(length_size, f"length of {what}"), what)  # raises, and says what is short
        self._at = end
        return self._data[start:end]

    def rest(self) -> bytes:
        """Take everything that is left."""
        return self.take(self.left, "rest")

    def end(self, what: str) -> None:
        """Raise `Malformed` if anything is left."""
        if self.left:
            raise Malformed(f"{self._phase}: {self.left} bytes after the end of {what}")
