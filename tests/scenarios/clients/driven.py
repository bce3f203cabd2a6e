"""What the matrix asks of every client, whatever it is written in and however it says that something failed."""

from abc import ABC, abstractmethod
from collections.abc import Callable


class SqlError(Exception):
    """What a client raised: the SQLSTATE, empty where it does not tell, and its words."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message


class Client(ABC):
    """One open connection of a client. Making it raises SqlError when the login is refused."""

    @abstractmethod
    def ask(self, sql: str) -> str:
        """Give the one value that a query answers, as text. Raises SqlError, after which the next one can be asked."""

    @abstractmethod
    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        """Run a statement and cancel it, in the client's own way, when `running` has returned. Raises SqlError."""

    @abstractmethod
    def close(self) -> None:
        """End it as the client does."""
