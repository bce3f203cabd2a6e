"""The double of a cluster's API, with what a checkup asks beyond pods: versions, rights, classes. Also a double.

What an account may do is a set of rights; authorizers that cannot list what they allow are `listing = "nothing"`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import h11
import trio
import trio.abc

from controller.runtimes.kubernetes.rights import NEEDED, OF_OWNERS, Right, rules_for
from tests.controller.runtimes.kubernetes.apiserver import ApiServer
from tests.peers import DEADLINE

JSON = dict[str, Any]
CLASS = "/apis/storage.k8s.io/v1/storageclasses"


def storage_class(name: str, *, default: bool) -> JSON:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}}


class Authority(ApiServer):
    """An API server that also tells what the caller may do."""

    def __init__(self) -> None:
        super().__init__()
        self.release = "v1.34.2"
        self.rights = set(NEEDED | OF_OWNERS)
        self.listing = "complete"  # "part": all, and said to be incomplete; "nothing": none, and incomplete; "refused"
        self.forbidden: tuple[str, ...] = ()  # beginnings of paths that this account may not read
        self.there: dict[str, JSON] = {
            "/api/v1/namespaces/podgate": {},
            CLASS: {"items": [storage_class("slow", default=False), storage_class("fast", default=True)]},
            f"{CLASS}/fast": {},
        }
        self.status = 200  # of the version
        self.late = timedelta(0)  # of its clock
        self.accepted: list[str] = []  # what callers of Secrets take
        self.padding = b""

    async def _answer(self, wire: h11.Connection, stream: trio.abc.Stream, head: h11.Request, body: bytes) -> None:
        path, method = urlsplit(head.target.decode()).path, head.method.decode()
        self.requests.append(f"{method} {path}")
        if "/secrets/" in path:
            self.accepted.append(dict(head.headers)[b"accept"].decode())
        status, document = self._judged(method, path, json.loads(body) if body else {})
        data = json.dumps(document).encode() + self.padding
        date = format_datetime(datetime.now(UTC) - self.late, usegmt=True)
        headers = [("Content-Length", str(len(data))), ("Date", date)]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=data), h11.EndOfMessage()):
            await stream.send_all(wire.send(event) or b"")

    def _judged(self, method: str, path: str, asked: JSON) -> tuple[int, JSON]:
        if path == "/version":
            return self.status, {"gitVersion": self.release}
        if path.startswith(self.forbidden):
            return 403, {"message": "forbidden"}
        if path.endswith("selfsubjectrulesreviews"):
            assert asked["spec"] == {"namespace": "podgate"}
            rules = rules_for(self.rights) if self.listing in ("complete", "part") else []
            told = {"resourceRules": rules, "nonResourceRules": [], "incomplete": self.listing != "complete"}
            return (403, {}) if self.listing == "refused" else (201, {"status": told})
        if path.endswith("selfsubjectaccessreviews"):
            wanted = asked["spec"]["resourceAttributes"]
            assert wanted["namespace"] == "podgate"
            resource = "/".join(filter(None, (wanted["resource"], wanted["subresource"])))
            return 201, {"status": {"allowed": Right(wanted["group"], resource, wanted["verb"]) in self.rights}}
        assert method == "GET"
        return (200, self.there[path]) if path in self.there else (404, {"message": "not found"})


@contextmanager
def served(api: ApiServer) -> Iterator[str]:
    """Serve a double in a thread of its own, for callers that block; give its address."""
    up, told = threading.Event(), []

    async def serve() -> None:
        async with api.serving():
            told.append((trio.lowlevel.current_trio_token(), end := trio.Event()))
            up.set()
            await end.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert up.wait(DEADLINE)
    try:
        yield api.url
    finally:
        token, end = told[0]
        trio.from_thread.run_sync(end.set, trio_token=token)
        thread.join(DEADLINE)
