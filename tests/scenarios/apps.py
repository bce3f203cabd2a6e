"""The app of `served/` as pods, and what they were asked."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.running import Pod, Podgate
from tests.scenarios.api import create

SERVED = Path(__file__).parent / "served"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a pod received it; names of fields are in lower case."""

    method: str
    path: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field == name]


@dataclass(frozen=True, slots=True)
class App:
    """A pod that runs the app."""

    pod: Pod
    port: int
    directory: Path

    @property
    def name(self) -> str:
        return str(self.pod["name"])

    @property
    def host(self) -> str:
        return f"{self.name}.pods.localhost"

    @property
    def origin(self) -> str:
        return f"https://{self.host}:{self.port}"

    def received(self) -> list[Request]:
        """Tell what it was asked, read from its own directory: no gateway is in between."""
        log = self.directory / "requests.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [_request(json.loads(line)) for line in lines]

    def forget(self) -> None:
        """Begin its log anew."""
        (self.directory / "requests.log").unlink(missing_ok=True)


def app(podgate: Podgate, name: str, access: str = "public") -> App:
    """Make a pod of it, put where any pod's user can read it."""
    place = podgate.home / "served"
    shutil.copytree(SERVED, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (place, *place.iterdir()):
        path.chmod(0o755)
    pod = create(podgate, name, "web", access, command=f"exec python3 {place / 'web.py'}")
    return App(pod, podgate.port, podgate.home / "pods" / pod["key"] / "data")


def _request(document: dict[str, Any]) -> Request:
    headers = [(name.lower(), value) for name, value in document["headers"]]
    return Request(document["method"], document["path"], headers)
