"""Clients of other languages: programs of their own that are told what to do by lines of JSON (see nodepg.js)."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.running import PATIENCE
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.databases import Way

HERE = Path(__file__).parent
NODE_MODULES = Path(sys.prefix) / "node" / "node_modules"  # deploy/client-packages.sh puts them there
JDBC = Path("/usr/share/java/postgresql.jar")  # Debian's libpostgresql-jdbc-java


def libjvm() -> Path:
    """Give the JVM of the graph pods' wheel."""
    package = find_spec("arcadedb_embedded")
    assert package
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "jre" / "lib" / "server" / "libjvm.so"


class Spoken(Client):
    """A client in a process of its own."""

    def __init__(self, way: Way, command: list[str], environment: dict[str, str], **options: object) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        facts = {"host": way.host, "port": way.port, "ca": str(way.ca), "database": way.database}
        self._tell(login={**facts, "user": way.user, "password": way.password, **options})
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, sql: str) -> str:
        self._tell(ask=sql)
        return self._answer()

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        self._tell(ask=sql)
        running()
        self._tell(cancel=True)
        self._answer()

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def _tell(self, **what: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the client ended without an answer"
        answer = json.loads(line)
        if "sqlstate" in answer:
            raise SqlError(answer["sqlstate"], answer["message"])
        return str(answer["value"])


class NodePg(Spoken):
    """pg of node.js."""

    def __init__(self, way: Way, **options: object) -> None:
        node = shutil.which("node") or "node"
        super().__init__(way, [node, str(HERE / "nodepg.js")], {"NODE_PATH": str(NODE_MODULES)}, **options)


class Jdbc(Spoken):
    """The JDBC driver; `properties` are its own."""

    def __init__(self, way: Way, **properties: str) -> None:
        command = [sys.executable, str(HERE / "jdbc.py"), str(JDBC), str(libjvm())]
        super().__init__(way, command, {}, properties=properties)
