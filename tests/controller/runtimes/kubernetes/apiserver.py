"""A DOUBLE of a Kubernetes API server, on a loopback socket, for where no cluster can run.

What it does as the real one: lists in pages, watches from a version on, bookmarks, 410 for versions it forgot,
server-side apply that makes what is not there and changes nothing where nothing differs, merge patches, deletes with
preconditions, graces and foreground propagation, metadata alone for who asks for it, logs. What it does not: own fields
by manager (an apply replaces `spec` and `data`, and adds to labels and annotations), judge what it is given beyond what
a StatefulSet and a Secret may not change, tell apart who asks, or speak TLS. Its
controllers make and delete the pods of StatefulSets and what is owned; `kubelet.py` runs them. `faults` are answered in
place of the true ones.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

from controller.pulse import Pulse
from tests.controller.runtimes.kubernetes.answering import Fault, answer_fault, put, read_request, send, send_pieces

JSON = dict[str, Any]
Send = Callable[[bytes], Any]

OWNERS = "ownerReferences"
FIXED = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")  # of a StatefulSet for ever


class Log(bytearray):
    """A container's log, with when its parts were written."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[int, str]] = []  # offset, time

    def time_at(self, offset: int) -> str:
        """Give when the byte there was written, as a kubelet writes it."""
        return next(told for begin, told in reversed(self.marks) if begin <= offset)


class Problem(Exception):
    """An answer that is a failure."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def document(self) -> JSON:
        return {"kind": "Status", "status": "Failure", "code": self.status, "message": str(self)}


class ApiServer:
    """The state of a cluster, and who watches it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], JSON] = {}  # by plural and name: one namespace is enough
        self.version = 100
        self.history: list[tuple[str, JSON]] = []  # plural, event
        self.forgotten = 0  # watches from before this version are answered by 410
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # "METHOD path?query"
        self.logs: dict[str, Log] = {}  # by "pod/container"
        self.earlier_logs: dict[str, Log] = {}  # of the start before
        self.token = ""  # who shows another is told 401; empty: nobody is asked for one
        self.pace = 0.0  # seconds between two bytes of an answer that goes on
        self.changed = Pulse()
        self._specs: dict[str, JSON] = {}  # of StatefulSets by uid, as they were when `generation` rose last
        self._ending = trio.Event()
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ApiServer"]:
        """Answer on a port of loopback."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, self.converse, listeners)
            self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            yield self
            nursery.cancel_scope.cancel()

    def get(self, plural: str, name: str) -> JSON:
        """Give an object as it is stored. Raises KeyError."""
        return self.objects[plural, name]

    def put(self, plural: str, thing: JSON) -> JSON:
        """Store an object, new or changed, and tell who watches."""
        metadata = thing["metadata"]
        name = metadata["name"]
        kind = "MODIFIED" if (plural, name) in self.objects else "ADDED"
        self.version += 1
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", now())
        metadata["resourceVersion"] = str(self.version)
        if plural == "statefulsets" and thing["spec"] != self._specs.get(metadata["uid"]):
            self._specs[metadata["uid"]] = deepcopy(thing["spec"])
            metadata["generation"] = metadata.get("generation", 0) + 1
        self.objects[plural, name] = thing
        self._tell(plural, kind, thing)
        self.settle()
        return thing

    def drop(self, plural: str, name: str) -> None:
        """Take an object out at once."""
        thing = self.objects.pop((plural, name), None)
        if thing is None:
            return
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        self._tell(plural, "DELETED", thing)
        self.settle()

    def bookmark(self) -> None:
        """Tell who watches how far they are."""
        for plural in {plural for plural, _name in self.objects}:
            self._tell(plural, "BOOKMARK", {"kind": plural, "metadata": {"resourceVersion": str(self.version)}})

    def forget(self) -> None:
        """Answer watches that begin at a version of before now by 410."""
        self.forgotten = self.version

    async def end_streams(self) -> None:
        """End every answer that goes on, as a server does that is told to."""
        self._ending.set()
        self._ending = trio.Event()

    def write(self, log: str, data: bytes) -> None:
        """Add to a container's log."""
        kept = self.logs.setdefault(log, Log())
        kept.marks.append((len(kept), _nanoseconds()))
        kept.extend(data)
        self.changed.beat()

    def begin_log(self, log: str) -> None:
        """Have a container begin a log, as at each of its starts."""
        if log in self.logs:
            self.earlier_logs[log] = self.logs[log]
        self.logs[log] = Log()

    def rotate(self, log: str) -> None:
        """Put a log's file away, which nobody is told any more."""
        self.logs[log] = Log()

    def settle(self) -> None:
        """Do what the cluster's controllers would."""
        for (plural, name), thing in list(self.objects.items()):
            if (plural, name) not in self.objects:
                continue
            if plural == "statefulsets":
                self._tend(name, thing)
            if plural == "persistentvolumeclaims" and thing["metadata"].get("deletionTimestamp"):
                self._remove(plural, name)
            owners = {owner["uid"] for owner in thing["metadata"].get("ownerReferences", [])}
            living = {each["metadata"]["uid"] for each in self.objects.values()}
            if owners and not owners & living:
                self._remove(plural, name)

    def _tend(self, name: str, stateful_set: JSON) -> None:
        pod = self.objects.get(("pods", f"{name}-0"))
        wanted = int(stateful_set["spec"].get("replicas", 1)) > 0
        if stateful_set["metadata"].get("deletionTimestamp"):
            owned = [
                place for place, thing in self.objects.items()
                if any(each["uid"] == stateful_set["metadata"]["uid"]
                       for each in thing["metadata"].get("ownerReferences", []))
            ]  # fmt: skip
            for place in owned:
                self._remove(*place)
            if not any(place in self.objects for place in owned):
                self.drop("statefulsets", name)
        elif wanted and pod is None:
            self._make_pod(name, stateful_set)
        elif not wanted and pod is not None:
            self._remove("pods", f"{name}-0")

    def _make_pod(self, name: str, stateful_set: JSON) -> None:
        for template in stateful_set["spec"].get("volumeClaimTemplates", []):
            claim = f"{template['metadata']['name']}-{name}-0"
            if ("persistentvolumeclaims", claim) not in self.objects:
                labels = deepcopy(template["metadata"].get("labels", {}))
                self.put("persistentvolumeclaims", {"metadata": {"name": claim, "labels": labels}, "spec": {}})
        if ("pods", f"{name}-0") in self.objects:
            return  # made while its claim was: that settled, too
        template = deepcopy(stateful_set["spec"]["template"])
        owner = {"kind": "StatefulSet", "name": name, "uid": stateful_set["metadata"]["uid"]}
        metadata = {**template["metadata"], "name": f"{name}-0", "ownerReferences": [owner]}
        self.put("pods", {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}})

    def _remove(self, plural: str, name: str, grace: int | None = None) -> None:
        """Delete as the API does: a pod is only asked to end, a claim waits for its pod."""
        thing = self.objects.get((plural, name))
        if thing is None:
            return
        metadata = thing["metadata"]
        in_use = plural == "persistentvolumeclaims" and ("pods", name.partition("-")[2]) in self.objects
        if plural == "pods" or in_use:
            usual = thing["spec"].get("terminationGracePeriodSeconds", 30)
            before = metadata.get("deletionGracePeriodSeconds")  # it can only become shorter
            seconds = (usual if before is None else before) if grace is None else grace
            if before is None or seconds < before:
                metadata |= {"deletionTimestamp": now(seconds), "deletionGracePeriodSeconds": seconds}
                self.put(plural, thing)
        else:
            self.drop(plural, name)

    def _tell(self, plural: str, kind: str, thing: JSON) -> None:
        self.history.append((plural, {"type": kind, "object": deepcopy(thing)}))
        self.changed.beat()

    async def converse(self, stream: trio.abc.Stream) -> None:
        """Answer the requests of one connection."""
        wire = h11.Connection(h11.SERVER)
        try:
            async with stream:
                while True:
                    head, body = await read_request(wire, stream)
                    if head is None:
                        return
                    await self._answer(wire, stream, head, body)
                    if wire.our_state is not h11.DONE:
                        return
                    wire.start_next_cycle()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # the client is gone

    async def _answer(self, wire: h11.Connection, stream: trio.abc.Stream, head: h11.Request, body: bytes) -> None:
        target, method = head.target.decode(), head.method.decode()
        self.requests.append(f"{method} {target}")
        fault = self._fault(method, target)
        if fault is not None:
            await answer_fault(wire, stream, fault)
            return
        scheme, _space, shown = dict(head.headers).get(b"authorization", b"").decode().partition(" ")
        if self.token and (scheme.lower(), shown) != ("bearer", self.token):
            await send(wire, stream, 401, json.dumps(Problem(401, "Unauthorized").document()).encode())
            return
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        parts = url.path.split("/namespaces/", 1)[1].split("/")[1:]
        kind = dict(head.headers).get(b"content-type", b"").decode()
        accept = dict(head.headers).get(b"accept", b"").decode()
        try:
            if parts[-1] == "log":
                await send_pieces(wire, stream, self._log_lines(parts[1], query), self._ending, self.pace)
            elif method == "GET" and len(parts) == 1 and query.get("watch") == "true":
                with trio.move_on_after(float(query["timeoutSeconds"])) as life:
                    await send_pieces(wire, stream, self._events(parts[0], query, accept), self._ending, self.pace)
                if life.cancelled_caught:
                    await put(wire, stream, h11.EndOfMessage())
            else:
                status, document = self._do(method, parts, query, json.loads(body) if body else {}, kind)
                await send(wire, stream, status, json.dumps(_accepted(document, accept)).encode())
        except Problem as problem:
            await send(wire, stream, problem.status, json.dumps(problem.document()).encode())

    def _fault(self, method: str, target: str) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and fault.part in target:
                if fault.after == 0:
                    self.faults.remove(fault)
                    return fault
                fault.after -= 1
        return None

    def _do(self, method: str, parts: list[str], query: dict[str, str], body: JSON, kind: str) -> tuple[int, JSON]:
        plural = parts[0]
        if len(parts) == 1:
            return 200, self._list(plural, query)
        name = parts[1]
        found = self.objects.get((plural, name))
        if method == "PATCH" and kind == "application/apply-patch+yaml":
            return (201 if found is None else 200), self._apply(plural, name, body)
        if found is None:
            raise Problem(404, f'{plural} "{name}" not found')
        if method == "PATCH":
            return 200, self._put_changed(plural, found, _merged(found, body))
        if method == "DELETE":
            return 200, self._delete(plural, name, body)
        return 200, found

    def _list(self, plural: str, query: dict[str, str]) -> JSON:
        things = [thing for (each, _name), thing in sorted(self.objects.items()) if each == plural]
        things = [deepcopy(thing) for thing in things if _selected(thing, query)]
        begin, limit = int(query.get("continue", "0")), int(query.get("limit", "0") or 0) or len(things) or 1
        metadata: JSON = {"resourceVersion": str(self.version)}
        if begin + limit < len(things):
            metadata["continue"] = str(begin + limit)
        return {"kind": "List", "metadata": metadata, "items": things[begin : begin + limit]}

    def _apply(self, plural: str, name: str, document: JSON) -> JSON:
        found = self.objects.get((plural, name))
        meant = document["metadata"]
        if any(meant[each] != (found or {"metadata": {}})["metadata"].get(each)
               for each in ("uid", "resourceVersion") if each in meant):  # fmt: skip
            raise Problem(409, f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified')
        if found is None:
            return self.put(plural, deepcopy(document))
        if plural == "statefulsets":
            changed = [each for each in FIXED if found["spec"].get(each) != document["spec"].get(each)]
            if changed:
                raise Problem(422, f'StatefulSet.apps "{name}" is invalid: spec: Forbidden: {", ".join(changed)}')
        new = {**found, **deepcopy({key: value for key, value in document.items() if key != "metadata"})}
        new["metadata"] = {**found["metadata"]}
        for each in ("labels", "annotations"):
            new["metadata"][each] = {**found["metadata"].get(each, {}), **meant.get(each, {})}
        owners = {owner["uid"]: owner for thing in (found["metadata"], meant) for owner in thing.get(OWNERS, [])}
        if owners:
            new["metadata"][OWNERS] = list(owners.values())
        return self._put_changed(plural, found, new)

    def _put_changed(self, plural: str, found: JSON, new: JSON) -> JSON:
        """Store what is different, and leave alone what is not."""
        if plural == "secrets" and found.get("type", "Opaque") != new.get("type", "Opaque"):
            name = found["metadata"]["name"]
            raise Problem(422, f'Secret "{name}" is invalid: type: Invalid value: field is immutable')
        same = {**new, "metadata": {key: value for key, value in new["metadata"].items() if value}}
        return found if same == found else self.put(plural, new)

    def _delete(self, plural: str, name: str, options: JSON) -> JSON:
        thing = self.objects[plural, name]
        uid = options.get("preconditions", {}).get("uid", thing["metadata"]["uid"])
        if uid != thing["metadata"]["uid"]:
            raise Problem(409, "the uid in the precondition does not match")
        if plural == "statefulsets" and options.get("propagationPolicy") == "Foreground":
            thing["metadata"]["deletionTimestamp"] = now()
            return deepcopy(self.put(plural, thing))
        self._remove(plural, name, options.get("gracePeriodSeconds"))
        return {"kind": "Status", "status": "Success"}

    async def _events(self, plural: str, query: dict[str, str], accept: str) -> AsyncGenerator[bytes]:
        since = int(query["resourceVersion"])
        if since < self.forgotten:
            yield _line({"type": "ERROR", "object": Problem(410, f"too old resource version: {since}").document()})
            return
        yield b""  # the head goes before the first event
        told = 0
        while True:
            while told < len(self.history):
                each, event = self.history[told]
                told += 1
                version, bookmark = int(event["object"]["metadata"]["resourceVersion"]), event["type"] == "BOOKMARK"
                if (
                    each == plural
                    and version >= since + (not bookmark)
                    and (bookmark or _selected(event["object"], query))
                ):
                    yield _line({**event, "object": _accepted(event["object"], accept)})
            await self.changed.wait()

    async def _log_lines(self, pod: str, query: dict[str, str]) -> AsyncGenerator[bytes]:
        name = f"{pod}/{query['container']}"
        if ("pods", pod) not in self.objects:
            raise Problem(404, f'pods "{pod}" not found')
        logs = self.earlier_logs if query.get("previous") == "true" else self.logs
        if name not in logs:
            raise Problem(400, f'container "{query["container"]}" in pod "{pod}" is waiting to start')
        uid, log = self.objects["pods", pod]["metadata"]["uid"], logs[name]
        given = _tail(log, query)
        yield b""  # the head goes before the first line
        while True:
            follows = (
                query["follow"] == "true" and self._running(pod, uid, query["container"]) and self.logs.get(name) is log
            )
            whole = log.rfind(b"\n") + 1 if follows else len(log)
            if whole > given:
                begin, given = given, whole
                yield _stamped(log, begin, whole, query)
            elif follows:
                await self.changed.wait()
            else:
                return

    def _running(self, pod: str, uid: str, container: str) -> bool:
        thing = self.objects.get(("pods", pod))
        if thing is None or thing["metadata"]["uid"] != uid:
            return False
        status = thing["status"]
        containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return any(each["name"] == container and "running" in each.get("state", {}) for each in containers)


def now(later: float = 0.0) -> str:
    """Give the time, some seconds later, as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _nanoseconds() -> str:
    """Give the time, never the same twice."""
    told = time.time_ns()
    return f"{datetime.fromtimestamp(told // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{told % 10**9:09d}Z"


def _tail(log: Log, query: dict[str, str]) -> int:
    """Give where what is asked for begins."""
    starts = [0, *(at + 1 for at in range(len(log) - 1) if log[at : at + 1] == b"\n")] if log else []
    since = query.get("sinceTime", "")
    starts = [at for at in starts if f"{log.time_at(at)[:19]}Z" >= since]
    wanted = min(int(query.get("tailLines", len(starts))), len(starts))
    return starts[len(starts) - wanted] if wanted else len(log)


def _stamped(log: Log, begin: int, end: int, query: dict[str, str]) -> bytes:
    """Give a part of a log that begins with a line, with times if they are asked for."""
    if query.get("timestamps") != "true":
        return bytes(log[begin:end])
    found = b""
    while begin < end:
        over = log.find(b"\n", begin, end) + 1 or end
        found += log.time_at(begin).encode() + b" " + log[begin:over]
        begin = over
    return found


def _accepted(document: JSON, accept: str) -> JSON:
    """Give of what is told what the caller wants of it."""
    if "as=PartialObjectMetadata" not in accept:
        return document
    if ("items" in document) != ("as=PartialObjectMetadataList" in accept):
        raise Problem(406, "you requested PartialObjectMetadata, but the requested object is a list, or none")
    if "items" not in document:
        return {"kind": "PartialObjectMetadata", "metadata": document["metadata"]}
    items = [{"metadata": each["metadata"]} for each in document["items"]]
    return {"kind": "PartialObjectMetadataList", "metadata": document["metadata"], "items": items}


def _line(event: JSON) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _merged(thing: JSON, patch: JSON) -> JSON:
    """Apply a merge patch (RFC 7386)."""
    new = dict(thing)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key) or {}, value) if isinstance(value, dict) else value
    return new


def _selected(thing: JSON, query: dict[str, str]) -> bool:
    labels = thing["metadata"].get("labels", {})
    for part in filter(None, query.get("labelSelector", "").split(",")):
        name, _equals, value = part.partition("=")
        if labels.get(name) != value:
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        name, _equals, value = part.partition("=")
        if thing.get(name) != value:
            return False
    return True
