"""Where a gateway's routes come from: a file, or a controller's stream. Both give snapshot and delta documents."""

import json
import logging
import secrets
import ssl
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import trio

from router.snapshot import Rejected, Version

log = logging.getLogger("podgate.routes")

CREDENTIALS = ("user", "token", "key")  # the tables of a routes file beside its routes
FILE_LOOK = 0.2  # seconds between two looks at a routes file
LARGEST_FILE = 256 << 20  # bytes
SILENCE = 15.0  # seconds without a document until a controller is taken for gone; it pings every 5 s

Documents = trio.MemorySendChannel[object]


class Source(Protocol):
    """Routes from somewhere."""

    async def follow(self, documents: Documents) -> None:
        """Send a snapshot, then what changes, until cancelled or the source is lost."""

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Tell that every worker runs `version`, and which routes are quarantined now."""

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Tell what happened at the gateway, for the audit log."""

    def reload(self) -> None:
        """Look again at once."""


class RoutesFile:
    """A TOML file of `[[route]]` tables, and of `[[user]]`, `[[token]]` and `[[key]]` ones.

    A change is live within a second, an unreadable file changes nothing.
    """

    def __init__(self, path: Path) -> None:
        """Follow the file at `path`."""
        self._path = path
        self._epoch = f"file-{secrets.token_hex(4)}"
        self._number = 0
        self._seen: object = None
        self._reload = trio.Event()

    async def follow(self, documents: Documents) -> None:
        """Send a snapshot of the file now and after each change."""
        self._seen = None
        while True:
            signature = self._signature()
            if signature != self._seen:
                self._seen = signature
                content = self._read()
                if content is not None:
                    self._number += 1
                    version = {"epoch": self._epoch, "version": self._number}
                    await documents.send({"kind": "snapshot", **version, **content})
            with trio.move_on_after(FILE_LOOK):
                await self._reload.wait()
                self._reload = trio.Event()
                self._seen = None

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Log it: a file has nobody to tell."""
        log.info("%s: version %d is live in every worker, %d routes refused", self._path, version.number, len(rejected))

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Log them."""
        for entry in entries:
            log.info("audit: %s %s %s: %s", entry["who"], entry["what"], entry["outcome"], entry["detail"])

    def reload(self) -> None:
        """Read the file again."""
        self._reload.set()

    def _signature(self) -> object:
        try:
            status = self._path.stat()
        except OSError as error:
            return error.strerror
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> dict[str, list[object]] | None:
        try:
            if self._path.stat().st_size > LARGEST_FILE:
                raise ValueError(f"larger than {LARGEST_FILE} bytes")
            content = tomllib.loads(self._path.read_text(encoding="utf-8"))
            tables = {kind: content.get(kind, []) for kind in ("route", *CREDENTIALS)}
            for kind, table in tables.items():
                if not isinstance(table, list):
                    raise ValueError(f"{kind!r} is not a list of [[{kind}]] tables")
        except (OSError, ValueError, RecursionError) as error:
            log.error("%s cannot be read: %s; the routes before stay in force", self._path, error)
            return None
        credentials = [_of_kind(kind, record) for kind in CREDENTIALS for record in tables[kind]]
        return {"routes": tables["route"], "credentials": credentials}


def _of_kind(kind: str, record: object) -> object:
    return {**record, "kind": kind} if isinstance(record, dict) else record


def _over(socket_path: Path) -> httpx.AsyncHTTPTransport:
    """Make the transport over a unix socket: no TLS is spoken there, and to load authorities for it takes 40 ms."""
    return httpx.AsyncHTTPTransport(uds=str(socket_path), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


class ControllerFeed:
    """A controller's stream of routes, over its unix socket or its URL."""

    def __init__(self, url: str, socket_path: Path | None, token_path: Path, replica: str, workers: int) -> None:
        """Follow the controller at `url`, reached through `socket_path` if that is given."""
        transport = _over(socket_path) if socket_path else None
        timeout = httpx.Timeout(5.0, read=SILENCE)
        self._client = httpx.AsyncClient(base_url=url, transport=transport, timeout=timeout, trust_env=False)
        self._token_path = token_path
        self._replica = replica
        self._workers = workers
        self._runs: Version | None = None

    async def follow(self, documents: Documents) -> None:
        """Send what the controller streams; return when it ends. Raises OSError and httpx.HTTPError."""
        query = {"replica": self._replica, "workers": str(self._workers)}
        if self._runs is not None:  # another replica of the controller is not to tell anything older
            query |= {"epoch": self._runs.epoch, "version": str(self._runs.number)}
        stream = self._client.stream("GET", "/v1/routes/stream", params=query, headers=self._headers())
        async with stream as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                document = json.loads(line)
                if document != {"kind": "ping"}:
                    await documents.send(document)

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Tell the controller. Raises OSError and httpx.HTTPError."""
        body = {
            "replica": self._replica,
            "epoch": version.epoch,
            "version": version.number,
            "rejected": [{"host": item.host, "reason": item.reason} for item in rejected],
        }
        self._runs = version
        (await self._client.post("/v1/routes/ack", json=body, headers=self._headers())).raise_for_status()

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Tell the controller. Raises OSError and httpx.HTTPError."""
        body = {"replica": self._replica, "entries": list(entries)}
        (await self._client.post("/v1/routes/audit", json=body, headers=self._headers())).raise_for_status()

    def reload(self) -> None:
        """Do nothing: a stream is always up to date."""

    def _headers(self) -> dict[str, str]:
        """Read the token anew each time: the controller makes it when it first starts, and may make another."""
        return {"Authorization": f"Bearer {self._token_path.read_text().strip()}"}
