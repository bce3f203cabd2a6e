"""Where a gateway's routes come from: a file, or a controller's stream (`gateway.following`).

Both give snapshot and delta documents.
"""

import logging
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import trio

from gateway.standing import Standing
from router.snapshot import Rejected, Version

log = logging.getLogger("podgate.routes")

CREDENTIALS = ("user", "token", "key")  # the tables of a routes file beside its routes
FILE_LOOK = 0.2  # seconds between two looks at a routes file
UNREST = 5  # looks at most that a file is left alone because it is being written
LARGEST_FILE = 256 << 20  # bytes

Documents = trio.MemorySendChannel[object]


class NotUp(OSError):
    """A source that is on this machine does not run, or not yet."""


class Source(Protocol):
    """Routes from somewhere."""

    async def follow(self, documents: Documents) -> None:
        """Send a snapshot, then what changes, until cancelled or the source is lost. Raises NotUp and others."""

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Tell that every worker runs `version`, and which routes are quarantined now."""

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Tell what happened at the gateway, for the audit log."""

    async def tell(self, standing: Standing) -> None:
        """Tell how this replica stands."""

    def reload(self) -> None:
        """Look again at once."""


class RoutesFile:
    """A TOML file of `[[route]]` tables, and of `[[user]]`, `[[token]]` and `[[key]]` ones.

    A change is live about half a second after the last of it is written, an unreadable file changes nothing. A file
    that is written in place is empty at first and then half of it: so it is read when two looks found the same. One
    that never rests is read after a second nevertheless, and `reload` reads it at once.
    """

    def __init__(self, path: Path) -> None:
        """Follow the file at `path`."""
        self._path = path
        self._epoch = f"file-{secrets.token_hex(4)}"
        self._number = 0
        self._taken: object = None
        self._reload = trio.Event()

    async def follow(self, documents: Documents) -> None:
        """Send a snapshot of the file now and after each change."""
        before: object = None
        self._taken, looks = None, UNREST  # the first is read at once
        while True:
            signature = self._signature()
            looks = 0 if signature == self._taken else looks + 1
            if looks and (signature == before or looks >= UNREST):
                looks = 0
                await self._take(signature, documents)
            before = signature
            with trio.move_on_after(FILE_LOOK):
                await self._reload.wait()
                self._reload = trio.Event()
                self._taken, looks = None, UNREST

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Log it: a file has nobody to tell."""
        log.info("%s: version %d is live in every worker, %d routes refused", self._path, version.number, len(rejected))

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Log them."""
        for entry in entries:
            log.info("audit: %s %s %s: %s", entry["who"], entry["what"], entry["outcome"], entry["detail"])

    async def tell(self, standing: Standing) -> None:
        """Keep it to itself: a file has nobody to tell, and a log nobody who waits for this."""

    def reload(self) -> None:
        """Read the file again."""
        self._reload.set()

    async def _take(self, signature: object, documents: Documents) -> None:
        self._taken = signature
        content = self._read()
        if content is not None:
            self._number += 1
            version = {"epoch": self._epoch, "version": self._number}
            await documents.send({"kind": "snapshot", **version, **content})

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
