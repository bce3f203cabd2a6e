"""The double of an API server: the HTTP of `bench.scale.cluster`, as a process of its own.

    python -m bench.scale.apiserver --pods FILE --marks FILE --starting S --stopping S

It writes its port to standard output when it listens, and to the marks' file a line for each Pod at the moment that it
can be seen to be ready, or to be deleted by hand: `kubectl` is whoever says so by `fieldManager=kubectl`.
"""

import argparse
import gc
import json
import time
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

from bench.scale.cluster import Cluster, Stored
from bench.scale.population import read

JSON = dict[str, Any]

BY_HAND = "kubectl"
LOOK_ALIKE = {"kind": "Status", "apiVersion": "v1", "status": "Success"}


class Refused(Exception):
    """An answer that is a failure."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Conversation:
    """One connection."""

    def __init__(self, cluster: Cluster, stream: trio.SocketStream) -> None:
        self._cluster = cluster
        self._stream = stream
        self._wire = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        """Answer until the other side ends it."""
        async with self._stream:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                while await self._answer_next() and self._wire.our_state is h11.DONE:
                    self._wire.start_next_cycle()

    async def _answer_next(self) -> bool:
        head, body = None, b""
        while True:
            event = self._wire.next_event()
            if event is h11.NEED_DATA:
                self._wire.receive_data(bytes(await self._stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                await self._answer(head, body)
                return True
            else:
                return False

    async def _answer(self, head: h11.Request, body: bytes) -> None:
        method, url = head.method.decode(), urlsplit(head.target.decode())
        query = dict(parse_qsl(url.query))
        plural, _slash, name = url.path.partition("/namespaces/")[2].partition("/")[2].partition("/")
        if query.get("watch") == "true":
            await self._watch(plural, int(query["resourceVersion"]), float(query["timeoutSeconds"]))
            return
        try:
            if name:
                text = self._do(method, plural, name, query, dict(head.headers), body)
            else:
                text = self._list(plural, query)
            await self._send(200, text)
        except Refused as refused:
            status = {**LOOK_ALIKE, "status": "Failure", "code": refused.status, "message": str(refused)}
            await self._send(refused.status, json.dumps(status).encode())

    def _do(self, method: str, plural: str, name: str, query: JSON, headers: dict[bytes, bytes], body: bytes) -> bytes:
        """Do what was asked of one object; give the answer. Raises Refused."""
        cluster = self._cluster
        kind = headers.get(b"content-type", b"")
        if method == "PATCH" and b"apply-patch" in kind:
            return cluster.apply(plural, name, json.loads(body)).text
        stored: Stored | None = cluster.objects.setdefault(plural, {}).get(name)
        if stored is None:
            raise Refused(404, f'{plural} "{name}" not found')
        if method == "PATCH":
            return cluster.merge(plural, name, json.loads(body)).text
        if method == "DELETE":
            by_hand = query.get("fieldManager") == BY_HAND
            if not cluster.delete(plural, name, json.loads(body or b"{}"), by_hand=by_hand):
                raise Refused(409, "the uid in the precondition does not match")
            return json.dumps(LOOK_ALIKE).encode()
        return stored.text

    def _list(self, plural: str, query: JSON) -> bytes:
        """Give a page. What changes between two pages is seen by a watch, which begins where the first page was."""
        kept = self._cluster.objects.setdefault(plural, {})
        names = sorted(kept)
        version, _colon, last = query.get("continue", f"{self._cluster.version}:").partition(":")
        begin, limit = bisect_right(names, last) if last else 0, int(query.get("limit", len(names) or 1))
        metadata = {"resourceVersion": version}
        page = names[begin : begin + limit]
        if begin + limit < len(names):
            metadata["continue"] = f"{version}:{page[-1]}"
        items = b",".join(kept[name].text for name in page)
        return b'{"kind":"List","metadata":' + json.dumps(metadata).encode() + b',"items":[' + items + b"]}"

    async def _watch(self, plural: str, version: int, seconds: float) -> None:
        """Tell what happens to a kind until its time is over, or nobody listens."""
        log = self._cluster.log(plural)
        told = log.seen_by(version)
        await self._put(h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")]))
        with trio.move_on_after(seconds):
            while True:
                more, count = log.more, log.count
                if count > told:
                    events, told = log.after(told), count
                    await self._put(h11.Data(data=events))
                else:
                    await more.wait()
        await self._put(h11.EndOfMessage())

    async def _send(self, status: int, body: bytes) -> None:
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        await self._put(h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())

    async def _put(self, *events: h11.Event) -> None:
        data = b"".join(part for event in events if (part := self._wire.send(event)))
        if data:
            await self._stream.send_all(data)


async def serve(options: argparse.Namespace) -> None:
    """Serve until killed."""
    with options.marks.open("a", encoding="utf-8", buffering=1) as marks:

        def tell(word: str, name: str, address: str) -> None:
            marks.write(json.dumps([word, time.monotonic(), name, address]) + "\n")

        async with trio.open_nursery() as nursery:
            cluster = Cluster(nursery, tell, options.starting, options.stopping)
            cluster.settle_in(read(options.pods))
            gc.freeze()  # what is there now stays: nothing is to be looked through again and again
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

            async def converse(stream: trio.SocketStream) -> None:
                await Conversation(cluster, stream).run()

            nursery.start_soon(trio.serve_listeners, converse, listeners)
            print(f"port {listeners[0].socket.getsockname()[1]}", flush=True)


def main() -> None:
    """Take the arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale.apiserver")
    parser.add_argument("--pods", type=Path, required=True)
    parser.add_argument("--marks", type=Path, required=True)
    parser.add_argument("--starting", type=float, required=True)
    parser.add_argument("--stopping", type=float, required=True)
    with suppress(KeyboardInterrupt):
        trio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
