"""The channel between a supervisor and its worker: JSON documents, each behind its length, over a socket pair.

    supervisor → worker                                     worker → supervisor
    {"kind": "start", "options": {…}}                       {"kind": "want", "host": "…"}
    {"kind": "routes", "document": {…}}                     {"kind": "running", "epoch": "…", "version": 7}
    {"kind": "leaf", "chain": "…", "key": "…", "default": false}
    {"kind": "answered", "host": "…"}                       {"kind": "audit", "entries": [{…}, …]}
    {"kind": "leave"}                                       {"kind": "left", "ticket": 3}
    {"kind": "drain"}                                       {"kind": "load", "links": 12, "openings": 1,
                                                             "connections": {…}}

Both ask, and answer by the number of the question; each counts its own:

    {"kind": "ask", "id": 1, "what": "cancel", "process_id": 7, "secret": "…", "host": null}    either way; what it is:
    {"kind": "answer", "id": 1, "right": true}                                                  gateway.cancelling
    {"kind": "ask", "id": 2, "what": "enter", "ticket": 3, "host": "…", …}                      worker → supervisor:
    {"kind": "answer", "id": 2, "full": null}                                                   gateway.quota

The channel ends when either side ends, and each takes that for the other's end.
"""

import json
import socket
import struct
from typing import Any

import trio

_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 20  # bytes read at once


def encode(document: dict[str, Any]) -> bytes:
    """Make the bytes of one document, for channels that send the same to many."""
    payload = json.dumps(document, separators=(",", ":")).encode()
    return _LENGTH.pack(len(payload)) + payload


class Channel:
    """One end of it."""

    def __init__(self, end: socket.socket) -> None:
        """Take over a connected unix stream socket."""
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._sending = trio.Lock()

    async def send(self, document: dict[str, Any]) -> None:
        """Send one document. Raises trio.BrokenResourceError when the other side has ended."""
        await self.send_encoded(encode(document))

    async def send_encoded(self, data: bytes) -> None:
        """Send what `encode` made."""
        async with self._sending:
            await self._stream.send_all(data)

    async def receive(self) -> dict[str, Any] | None:
        """Receive one document; None when the other side has ended."""
        header = await self._exactly(_LENGTH.size)
        payload = await self._exactly(_LENGTH.unpack(header)[0]) if header else None
        if payload is None:
            return None
        document: dict[str, Any] = json.loads(payload)
        return document

    async def _exactly(self, size: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = await self._stream.receive_some(min(size - len(parts), _CHUNK))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)

    async def aclose(self) -> None:
        """End it."""
        await self._stream.aclose()
