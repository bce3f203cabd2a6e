"""Transform: what the bytes of a link pass through in the relay, where they are looked at. Without I/O: an `Exchange`
of HTTP, or a `Watch` of Bolt.
"""

from typing import Protocol

WHOLE = 1 << 30
BITE = 64 * 1024  # bytes: what is looked at, not only counted, takes so long that a turn is to have no more

Data = bytes | memoryview


class Broken(Exception):
    """Neither side could make sense of what would come next: the link is cut without a goodbye."""


class Transform(Protocol):
    """What the relay asks of it."""

    @property
    def bite(self) -> int:
        """How many bytes of the upstream's are to be taken in one turn."""

    @property
    def up_bite(self) -> int:
        """The same for the client's."""

    @property
    def held(self) -> bytes:
        """What waits for its turn."""

    @property
    def owed(self) -> bytes:
        """What is to go to the client as soon as there is room, in answer to what came from it."""

    @property
    def ending(self) -> bool:
        """Whether all has been said to the client."""

    @property
    def leaving(self) -> object:
        """Why the link cannot go on in the relay, if it cannot."""

    def up(self, data: Data) -> Data:
        """Take bytes from the client; give those for the upstream. Raises Broken."""

    def down(self, data: Data) -> Data:
        """Take bytes from the upstream; give those for the client. Raises Broken."""

    def pay(self) -> bytes:
        """Take what is owed."""

    def upstream_ended(self) -> bool:
        """Take note that no more comes from the upstream; tell whether it has said all it was asked for."""
