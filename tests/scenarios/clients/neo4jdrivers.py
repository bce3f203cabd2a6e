"""Neo4j's drivers, each in a program of its own language that is told what to do: see graph/features.py.

deploy/client-packages.sh puts those that are not Podgate's own into .venv.
"""

import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.running import PATIENCE
from tests.scenarios.browser import CERTUTIL, CHROMIUM
from tests.scenarios.clients.spoken import NODE_MODULES
from tests.scenarios.graphs import DATABASE, Way

HERE = Path(__file__).parent / "graph"
ROOT = Path(__file__).parents[3]
NODE_DRIVER = NODE_MODULES / "neo4j-driver"
OLDER = {major: Path(sys.prefix) / f"neo4j-{major}" for major in (4, 5)}
NAMES = ("python", "python-5", "python-4", "node", "chromium")


def missing(name: str) -> str:
    """Give what a driver needs that is not there."""
    if name in ("node", "chromium") and not (NODE_DRIVER.exists() and shutil.which("node")):
        return "neo4j-driver of node.js: deploy/client-packages.sh"
    if name == "chromium" and not (CHROMIUM and CERTUTIL):
        return "chromium and certutil (libnss3-tools)"
    if name.startswith("python-") and not OLDER[int(name[-1])].exists():
        return f"neo4j {name[-1]} for Python: deploy/client-packages.sh"
    return ""


class DriverError(Exception):
    """What a driver raised: the class, the code, None where it has none, and its words."""

    def __init__(self, error: str, code: str | None, message: str) -> None:
        super().__init__(f"{error} {code}: {message}")
        self.error = error
        self.code = code
        self.message = message


class Program(ABC):
    """A driver of one version, with as many ways in as are opened."""

    unable: frozenset[str] = frozenset()  # features that this driver has not
    records = 100_000  # in a large result
    auth_error = "Neo4jError"  # classes of what it raises
    away: frozenset[str] = frozenset({"Neo4jError"})
    tells_of_unknown = True  # hosts, where it is not routed; pages do not learn why there is no WebSocket
    tells_when_routed = False  # rather than that no server tells it where to go
    anew: tuple[dict[str, object], ...]  # options by which a pooled connection is made anew, or looked at, at each use

    def open(self, name: str, scheme: str, way: Way, **options: object) -> str:
        """Make a driver, which connects when it is used; give what to call it by."""
        told = {"uri": f"{scheme}://{way.host}:{way.port}", "auth": auth_of(way), "database": DATABASE}
        self._tell({"open": {**told, "options": options}, "as": name})
        return name

    def do(self, name: str, feature: str, **asked: object) -> Any:
        """Give what a feature gave. Raises DriverError."""
        return self._tell({"do": feature, "by": name, **asked})

    def close(self) -> None:  # noqa: B027  # a page ends with its browser
        """End it as programs end."""

    def _tell(self, told: dict[str, Any]) -> Any:
        answer = self._exchange(told)
        if "error" in answer:
            raise DriverError(answer["error"], answer["code"], answer["message"])
        return answer["value"]

    @abstractmethod
    def _exchange(self, told: dict[str, Any]) -> dict[str, Any]:
        """Give the answer to one line."""


def auth_of(way: Way) -> dict[str, str]:
    """Give what a way's login is told as."""
    if way.auth.scheme == "bearer":
        return {"token": way.auth.credentials}
    return {"user": way.auth.principal, "password": way.auth.credentials}


class _Spoken(Program):
    """A program that is told by lines of JSON."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
            cwd=ROOT,
        )

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _exchange(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the program ended without an answer"
        answer: dict[str, Any] = json.loads(line)
        return answer


class Python(_Spoken):
    """The driver for Python that is installed, or an older one."""

    anew: tuple[dict[str, object], ...] = ({"max_connection_lifetime": 0}, {"liveness_check_timeout": 0})
    records = 20_000  # more take it seconds
    auth_error = "AuthError"
    away = frozenset({"ClientError", "ServiceUnavailable", "SessionExpired"})

    def __init__(self, ca: Path, older: int | None = None) -> None:
        environment = {"SSL_CERT_FILE": str(ca)}
        if older:
            environment["PYTHONPATH"] = str(OLDER[older])
        if older == 4:
            self.unable = frozenset({"execute_query", "a session as somebody else, who may only read"})
            self.anew = self.anew[:1]
        self.tells_when_routed = older != 4
        super().__init__([sys.executable, "-m", "tests.scenarios.clients.graph.features"], environment)


_IN_JAVASCRIPT: tuple[dict[str, object], ...] = ({"maxConnectionLifetime": 0}, {"connectionLivenessCheckTimeout": 0})


class Node(_Spoken):
    """The driver for JavaScript in node.js."""

    anew = _IN_JAVASCRIPT
    tells_when_routed = True

    def __init__(self, ca: Path) -> None:
        environment = {"NODE_PATH": str(NODE_MODULES), "NODE_EXTRA_CA_CERTS": str(ca)}
        super().__init__([shutil.which("node") or "node", str(HERE / "node.js")], environment)


class InPage(Program):
    """The driver for JavaScript in a page of a browser, where it speaks in a WebSocket."""

    anew = _IN_JAVASCRIPT
    tells_of_unknown = False

    def __init__(self, page: Page) -> None:
        page.add_script_tag(path=NODE_DRIVER / "lib" / "browser" / "neo4j-web.min.js")
        page.add_script_tag(path=HERE / "features.js")
        page.evaluate("() => { globalThis.clients = {}; }")
        self._page = page

    def _exchange(self, told: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._page.evaluate("(told) => answer(neo4j, clients, told)", told)
        return answer
