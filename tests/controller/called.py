"""The API of a controller's process as tests call it, over its socket and as its administrator."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.unixhttp import to_socket


class Called:
    """A controller that serves on a socket of its home."""

    log = ""  # what it has written, as far as that was read

    def __init__(self, home: Path, socket: str, patience: float) -> None:
        """`patience`: seconds until a test gives up."""
        token = (home / "admin.token").read_text().strip()
        self.http = httpx.Client(
            transport=to_socket(home / "run" / socket),
            base_url="http://podgate",
            headers={"authorization": f"Bearer {token}"},
            timeout=patience,
        )
        self._patience = patience

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make(self, name: str, command: str) -> httpx.Response:
        """Ask for a web pod that runs a command."""
        pod = {"name": name, "template": "web", "parameters": {"command": command}}
        return self.http.post("/v1/pods", json=pod)

    def available(self, name: str) -> Any:
        """Wait by following the routes, as a gateway does, until the pod is available."""
        deadline = time.monotonic() + self._patience
        with self.http.stream("GET", "/v1/routes/stream?replica=test") as stream:
            for _ in stream.iter_lines():
                pod = self.get(f"/v1/pods/{name}")
                if pod["phase"] == "available":
                    return pod
                assert time.monotonic() < deadline, (pod, self.log)  # also a pod shown as failed is still tried
        raise AssertionError("the stream of routes ended")

    def end_all(self) -> None:
        """Delete every pod, and wait until they are gone."""
        names = [pod["name"] for pod in self.get("/v1/pods")["pods"]]
        for name in names:
            self.http.delete(f"/v1/pods/{name}")
        for name in names:
            self.http.get(f"/v1/pods/{name}/wait?until=gone&timeout={self._patience}")
