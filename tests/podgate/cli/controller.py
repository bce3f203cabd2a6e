"""A small controller: a real HTTP server that answers as the API's contract says, and as a test tells it to."""

import json
import socketserver
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from certs.authority import Authority

TOKEN = "the-admin-token"
SINCE = "2026-11-21T09:00:00.000Z"

Answer = tuple[int, Any]


def pod(name: str, template: str = "postgres", protocol: str = "postgres", **changes: Any) -> dict[str, Any]:
    """A pod as the API tells of it."""
    host, access = f"{name}.pods.localhost", changes.get("access", "owner")
    uris = {
        "postgres": {
            "owner": f"postgresql://owner:o%40%20w@{host}:8443/{name}?sslmode=verify-full&hostaddr=127.0.0.7",
            "read": f"postgresql://reader:r@{host}:8443/{name}?sslmode=verify-full",
        },
        "bolt": {"neo4j": f"neo4j+s://{host}:8443", "bolt": f"bolt+s://{host}:8443"},
        "http": {"https": f"https://{host}:8443/"},
        "tcp": {"tls": f"{host}:8443"},
    }
    credentials = {
        "postgres": {"owner": {"user": "owner", "password": "o@ w"}, "read": {"user": "reader", "password": "r"}},
        "bolt": {"owner": {"user": "root", "password": "it's $HOME"}},
    }
    endpoint = {"name": "", "host": host, "port": 8443, "protocol": protocol, "access": access, "database": name}
    return {
        "name": name,
        "key": f"{name}-1",
        "template": template,
        "access": "owner",
        "owner": "admin",
        "want": "on",
        "phase": "available",
        "message": "",
        "since": SINCE,
        "restarts": 0,
        "created_at": SINCE,
        "routed": True,
        "endpoints": [endpoint],
        "credentials": credentials.get(protocol, {}),
        "uris": uris[protocol],
        **changes,
    }


def gateway(current: bool) -> dict[str, Any]:
    rejected = [] if current else [{"host": "bad.x", "reason": "protocol: unknown"}]
    facts = {"replica": "g1", "epoch": "e", "version": 3, "workers": 2, "since": SINCE}
    return {**facts, "current": current, "rejected": rejected}


def problem(status: int, detail: str, **fields: str) -> Answer:
    errors = [{"field": name, "reason": reason} for name, reason in fields.items()]
    return status, {"type": "about:blank", "title": "Wrong", "status": status, "detail": detail, "errors": errors}


def server_side(authority: Authority, *hosts: str) -> ssl.SSLContext:
    leaf = authority.issue(hosts, datetime.now(UTC))
    pair = authority.path.with_name("pair.pem")
    pair.write_bytes(leaf.key_pem + leaf.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return context


class Controller:
    """Serves `pods` over the socket at `path`, or over TLS; `answers` go first, each list used up to its last."""

    def __init__(self, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.gateways = [gateway(current=True)]
        self.answers: dict[str, list[Answer | bytes | None]] = {}
        self.strange: Answer | bytes | None = None  # what everybody is answered by what is no controller at all
        self.calls: list[tuple[str, Any]] = []
        handler = type("Handler", (_Handler,), {"controller": self})
        if path is not None:
            self._server: socketserver.BaseServer = _Unix(str(path), handler)
        else:
            self._server = _Tcp(("127.0.0.1", 0), handler)
            assert tls is not None
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, *pods: dict[str, Any]) -> None:
        self.pods.update({pod["name"]: pod for pod in pods})

    def answer(self, call: str, body: Any) -> Answer | bytes | None:
        """Decide on a call such as `GET /v1/pods`."""
        self.calls.append((call, body))
        told = self.answers.get(call.partition("?")[0])
        if told:
            return told.pop(0) if len(told) > 1 else told[0]
        url = urlsplit(call.split()[1])
        if url.path == "/v1/me":
            return 200, {"user": "alice"}
        return self._status() if url.path == "/v1/status" else self._of_pods(call.split()[0], url.path, body, url.query)

    def _status(self) -> Answer:
        return 200, {
            "version": "0.1.0",
            "started_at": SINCE,
            "domain": "pods.localhost",
            "pods": {"available": len(self.pods), "failed": 0},
            "routes": {"epoch": "e", "version": 3, "count": 1},
            "gateways": self.gateways,
        }

    def _of_pods(self, method: str, path: str, body: Any, query: str) -> Answer | bytes:
        name, action = [*path.split("/")[3:], "", ""][:2]
        if method == "POST" and not name:
            self.add(pod(body["name"], template=body["template"], access=body["access"], phase="requested"))
            return 201, self.pods[body["name"]]
        if not name:
            return 200, {"pods": list(self.pods.values())}
        if name not in self.pods:
            return problem(404, f"there is no pod named {name!r}")
        if action == "logs":
            return "".join(f"line {number} ä\n" for number in range(int(parse_qs(query)["tail"][0]))).encode()
        if action == "events":
            return 200, {"events": [{"at": SINCE, "kind": "started", "message": "generation 1"}]}
        if method == "DELETE":
            return 202, self.pods.pop(name)
        return (202 if method == "POST" else 200), self.pods[name]


class _Handler(BaseHTTPRequestHandler):
    controller: Controller

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")
        if strange := self.controller.strange:
            status, page = (200, strange) if isinstance(strange, bytes) else (strange[0], b"")
            self._send_bytes(status, page, "text/html", phrase="")
            return
        if self.headers["authorization"] != f"Bearer {TOKEN}":
            self._send(*problem(401, "the call needs a valid token"))
            return
        answer = self.controller.answer(f"{self.command} {self.path}", body)
        if isinstance(answer, bytes):
            self._send_bytes(200, answer, "text/plain")
        elif answer is not None:
            self._send(*answer)

    def _send(self, status: int, document: Any) -> None:
        kind = "application/json" if status < 400 else "application/problem+json"
        self._send_bytes(status, b"" if document is None else json.dumps(document).encode(), kind)

    def _send_bytes(self, status: int, body: bytes, kind: str, phrase: str | None = None) -> None:
        self.send_response(status, phrase)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a client"

    def log_request(self, *_facts: object) -> None:
        """Say nothing: standard error is what the tests read."""


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses our certificate is what some tests are about."""
