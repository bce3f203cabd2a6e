"""Clients that are there all the time while a scenario breaks things: each asks, in a thread of its own, until it is
told to end, checks every answer, and counts. What it has open it never opens again, unless it is one that comes anew
each time.
"""

import http.client
import json
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from socket import create_connection
from typing import Protocol

from gateway.cancelling import SLOT_BITS, WORKER_BITS
from tests.running import PATIENCE, Podgate
from tests.scenarios.databases import Way

PACE = 0.1  # seconds between two questions: two dozen clients, and one machine that runs everything else too
ROUNDS = 3  # questions after which a client surely goes on


class Client(Protocol):
    """Who asks."""

    def ask(self, number: int) -> None:
        """Ask something, and check what is answered."""

    def close(self) -> None:
        """End what is open; check what only the end tells."""


class Session:
    """A session with a database."""

    def __init__(self, way: Way) -> None:
        self.connection = way.connect()

    @property
    def gateway(self) -> int:
        """The number of the gateway that holds it, by the key with which it cancels."""
        return self.connection.info.backend_pid >> WORKER_BITS + SLOT_BITS

    def ask(self, number: int) -> None:
        assert self.connection.execute("select %s::int", (number,)).fetchone() == (number,)

    def close(self) -> None:
        self.connection.close()


class Transaction(Session):
    """One that is open from the first question to the end, and is committed then."""

    def __init__(self, way: Way) -> None:
        super().__init__(way)
        self.connection.autocommit = False
        self.connection.execute("create table written (number int)")
        self._asked = 0

    def ask(self, number: int) -> None:
        self.connection.execute("insert into written values (%s)", (number,))
        self._asked += 1
        assert self.connection.execute("select count(*) from written").fetchone() == (self._asked,)

    def close(self) -> None:
        self.connection.commit()
        self.connection.autocommit = True
        assert self.connection.execute("select count(*) from written").fetchone() == (self._asked,)
        self.connection.close()


class Listener(Session):
    """One that listens, while another of the same client notifies."""

    def __init__(self, way: Way) -> None:
        super().__init__(way)
        self._notifying = way.connect()
        self.connection.execute("listen ticks")

    def ask(self, number: int) -> None:
        self._notifying.execute("select pg_notify('ticks', %s)", (str(number),))
        heard = [notify.payload for notify in self.connection.notifies(timeout=PATIENCE, stop_after=1)]
        assert heard == [str(number)]

    def close(self) -> None:
        self._notifying.close()
        self.connection.close()


class Page:
    """A connection that is kept for one request after the other, until it is told that an answer is its last."""

    def __init__(self, podgate: Podgate, host: str, path: str, token: str) -> None:
        self._place = "127.0.0.1", podgate.port
        self._host, self._path = host, path
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = ssl.create_default_context(cafile=str(podgate.ca))
        self._open: http.client.HTTPConnection | None = None

    def get(self) -> tuple[int, str]:
        """Ask for the page; give status and body."""
        if self._open is None:
            self._open = http.client.HTTPConnection(self._host, self._place[1])
            self._open.sock = self._tls.wrap_socket(
                create_connection(self._place, PATIENCE), server_hostname=self._host
            )
            self._open.auto_open = 0  # a connection that is lost is not made again by itself
        self._open.request("GET", self._path, headers=self._headers)
        answer = self._open.getresponse()
        text = answer.read().decode()
        if answer.will_close:
            self.close()
        return answer.status, text

    def ask(self, _number: int) -> None:
        status, text = self.get()
        assert status == 200, text

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class Visitor:
    """Who comes by a new connection each time: to a database, and to a page."""

    def __init__(self, way: Way, page: Page) -> None:
        self._way, self._page = way, page

    def ask(self, number: int) -> None:
        session = Session(self._way)
        session.ask(number)
        session.close()
        self._page.ask(number)
        self._page.close()

    def close(self) -> None:
        pass


class Changer:
    """Who changes something all the time; what is refused is to be refused as it should be."""

    def __init__(self, podgate: Podgate, name: str) -> None:
        self._podgate, self._name = podgate, name
        self.made: list[str] = []
        self.refused: Counter[str] = Counter()

    def ask(self, number: int) -> None:
        name = f"{self._name}-{number}"
        answer = self._podgate.ask("POST", "users", {"name": name})
        if answer.status_code == 201:
            self.made.append(name)
            return
        assert answer.status_code == 503, answer.text
        self.refused[json.loads(answer.text)["detail"]] += 1

    def close(self) -> None:
        there = {user["name"] for user in self._podgate.call("GET", "users")["users"]}
        assert there >= set(self.made)


class Member:
    """A client in its thread."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answered = 0
        self.failure = ""
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for(self, answered: int) -> None:
        """Wait until it was answered so many times."""
        with self._changed:
            self._changed.wait_for(lambda: self.answered >= answered or self.failure, PATIENCE)
        assert self.answered >= answered, f"{self}: {self.failure or 'it waits'}"

    def end(self) -> int:
        """Let it end by itself; give how many times it was answered, which is as often as it asked."""
        self._over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self} waits for an answer"
        try:
            assert not self.failure, f"{self}: {self.failure}"
        finally:
            self.client.close()
        return self.answered

    def __str__(self) -> str:
        return f"{type(self.client).__name__}, answered {self.answered} times"

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.client.ask(self.answered)
            except Exception as error:  # noqa: BLE001  # told by the test
                self.failure = repr(error)
            else:
                self.answered += 1
            with self._changed:
                self._changed.notify_all()
            if self.failure:
                return
            self._over.wait(PACE)


def go_on(members: Sequence[Member], rounds: int = ROUNDS) -> None:
    """See that all of them are answered so many times more."""
    for member, answered in [(member, member.answered + rounds) for member in members]:
        member.wait_for(answered)
