"""Calls of the cluster's API by httpx: bounded in time and size, and repeated where that can help.

Whatever is asked here may be asked twice: objects are applied (server-side, as field manager `podgate`), patched to a
fixed value, or deleted by name. So whoever did not answer, or was too busy, is asked again, ever later, or when it says
(`Retry-After`). What a failed call says is for people: it says what was refused and who can mend it.
"""

import json
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx
import trio

from controller.runtimes.kubernetes.access import Access, CredentialsFailure
from controller.runtimes.kubernetes.lines import Line, Lines

JSON = dict[str, Any]

CALL_LIMIT = 25.0  # seconds for a call with all its repetitions: an action of the reconciler has 60, for several
ANSWER_LIMIT = 10.0  # seconds an answer may take
MOST_ATTEMPTS = 6
MOST_CALLS = 16  # under way at once; httpx looks through all its connections for each further one that waits in it
MOST_CONNECTIONS = 64  # watches, calls under way, and logs that are followed, of which there are fewer (runtime.py)
FIRST_PAUSE = 0.1  # seconds before the second attempt, doubled each time
LONGEST_PAUSE = 5.0
LONGEST_ANSWER = 32 * 1024 * 1024  # bytes: 500 objects of a list; etcd takes 1.5 MiB for one
LONGEST_REASON = 500  # characters of what a server says about a failure

MANAGER = "podgate"
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_BUSY = {429, 500, 502, 503, 504}
# Of an object its metadata alone, so that no more of it comes here ("Metadata-only fetches" of the API concepts).
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_OF_ALL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# A peer that vanished without a word is noticed after 30 seconds, also where nothing is being sent (tcp(7)).
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class ClusterFailure(Exception):
    """The cluster did not do what it was asked; `status` is HTTP's, 0 if it did not answer."""

    def __init__(self, text: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after  # seconds until it wants to be asked again, if it said so


class Gone(ClusterFailure):
    """What was asked for by its version is too old (410): a list is to be begun anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    document: JSON
    retry_after: float | None  # seconds


class Cluster:
    """One cluster's API. Used by many tasks at once."""

    def __init__(self, access: Access, jitter: random.Random | None = None) -> None:
        self._access = access
        self._jitter = jitter or random.Random()  # noqa: S311  # spreads repetitions, no more
        self._calls = trio.CapacityLimiter(MOST_CALLS)
        self._lines = Lines(access, _connected)

    async def __aenter__(self) -> Self:
        """Nothing is connected before it is used."""
        return self

    async def __aexit__(self, *_reason: object) -> None:
        """Close the connections."""
        await self._lines.aclose()

    async def get(self, path: str, params: Mapping[str, str] | None = None, accept: str = "") -> JSON | None:
        """Read an object or a list; None if it is not there. Raises ClusterFailure, Gone."""
        answer = await self._call("GET", path, params or {}, accept=accept)
        return None if answer.status == 404 else answer.document

    async def apply(self, path: str, document: JSON, accept: str = "") -> JSON:
        """Make an object as the document says; what it does not say stays as it is. Raises ClusterFailure."""
        params = {"fieldManager": MANAGER, "force": "true"}
        answer = await self._call("PATCH", path, params, document, _APPLY, accept)
        if answer.status == 404:  # an apply makes what is not there: so the namespace is not
            raise ClusterFailure(f"the cluster says: {_reason(answer)}; make the namespace first", 404)
        return answer.document

    async def merge(self, path: str, patch: JSON, accept: str = "") -> JSON | None:
        """Change an object; None if it is not there. Raises ClusterFailure."""
        answer = await self._call("PATCH", path, {"fieldManager": MANAGER}, patch, _MERGE, accept)
        return None if answer.status == 404 else answer.document

    async def delete(self, path: str, options: JSON | None = None) -> bool:
        """Delete an object; tell whether it was there, and the one meant by the options. Raises ClusterFailure."""
        content = {"apiVersion": "v1", "kind": "DeleteOptions", **(options or {})}
        answer = await self._call("DELETE", path, {}, content, "application/json")
        return answer.status not in (404, 409)  # 409: its uid is another's

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], silence: float | None, accept: str = ""
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read an endless answer as it comes, until nothing came for `silence` seconds. Raises ClusterFailure, Gone.

        It is asked for once; an end is no failure. Without a limit to its silence only a dead peer ends it.
        """
        try:
            timeout = httpx.Timeout(ANSWER_LIMIT, read=silence)
            async with self._line() as line, line.http.stream(
                "GET", path, params=dict(params), headers=_headers(line, accept=accept), timeout=timeout,
                extensions=_extensions(line),
            ) as response:  # fmt: skip
                if response.status_code != 200:
                    if response.status_code == 401:
                        self._lines.doubt(line)
                    raise _failure(path, await _read(response))
                async with _body(response) as chunks:
                    yield chunks
        except httpx.HTTPError as error:
            raise ClusterFailure(_unreachable(self._access.url, error)) from error

    async def _call(
        self, method: str, path: str, params: Mapping[str, str], content: JSON | None = None, kind: str = "",
        accept: str = "",
    ) -> Answer:  # fmt: skip
        """Ask until there is an answer that counts. Raises ClusterFailure, Gone."""
        failure = ClusterFailure(f"{self._access.url} did not answer in time; see whether the cluster is up")
        with trio.move_on_after(CALL_LIMIT):
            for attempt in range(MOST_ATTEMPTS):
                pause: float | None = None
                try:
                    answer = await self._once(method, path, params, content, kind, accept)
                except httpx.HTTPError as error:
                    failure = ClusterFailure(_unreachable(self._access.url, error))
                else:
                    if answer.status < 300 or answer.status == 404 or (answer.status, method) == (409, "DELETE"):
                        return answer
                    failure = _failure(path, answer)
                    if not _may_help_again(answer.status, attempt, content):
                        raise failure
                    pause = answer.retry_after
                if attempt + 1 < MOST_ATTEMPTS:
                    await trio.sleep(self._pause(attempt, pause))
        raise failure

    def _pause(self, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return min(asked, LONGEST_PAUSE)
        return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * self._jitter.uniform(0.5, 1.0)

    async def _once(
        self, method: str, path: str, params: Mapping[str, str], content: JSON | None, kind: str, accept: str
    ) -> Answer:
        body = json.dumps(content).encode() if content is not None else None
        async with self._calls, self._line() as line, line.http.stream(
            method, path, params=dict(params), content=body, headers=_headers(line, kind, accept),
            extensions=_extensions(line),
        ) as response:  # fmt: skip
            if response.status_code == 401:  # a token that ended between two looks
                self._lines.doubt(line)
            return await _read(response)

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Line]:
        """Give what to call by. Raises ClusterFailure."""
        async with AsyncExitStack() as using:
            try:
                line = await using.enter_async_context(self._lines.use())
            except CredentialsFailure as error:
                raise ClusterFailure(f"the credentials for the cluster cannot be had: {error}") from error
            yield line


def _may_help_again(status: int, attempt: int, content: JSON | None) -> bool:
    if status == 401:
        return attempt == 0
    if status == 409:  # somebody else changed it at the same moment
        only_then = "resourceVersion" in (content or {}).get("metadata", {})  # meant for one version, and no other
        return not only_then
    return status in _BUSY


def _headers(line: Line, kind: str = "", accept: str = "") -> dict[str, str]:
    given = {"Content-Type": kind, "Accept": accept}
    return line.headers | {name: value for name, value in given.items() if value}


def _extensions(line: Line) -> dict[str, Any]:
    return {"sni_hostname": line.access.server_name} if line.access.server_name else {}


def _connected(access: Access) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport_to(access), base_url=access.url, timeout=ANSWER_LIMIT, trust_env=False)


def transport_to(access: Access) -> httpx.AsyncHTTPTransport:
    """Make what connects."""
    return httpx.AsyncHTTPTransport(
        verify=access.verify, trust_env=False, socket_options=_KEEP_ALIVE, proxy=access.proxy or None,
        limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=16),
    )  # fmt: skip


@asynccontextmanager
async def _body(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give a body as it comes, and end at once all that reads it.

    httpx and httpcore read by generators within generators, and to close the outer one leaves the others to the garbage
    collector. Whoever waits for the network in a cancelled scope is told so, through all of them.
    """
    chunks = response.aiter_bytes()
    try:
        yield chunks
    finally:
        with trio.CancelScope() as over, suppress(httpx.HTTPError):
            over.cancel()
            async for _data in chunks:  # what had been received before, and then the cancellation
                pass


async def _read(response: httpx.Response) -> Answer:
    """Read an answer, but no more of it than any is long. Raises ClusterFailure."""
    body = bytearray()
    async with _body(response) as chunks:
        async for data in chunks:
            body += data
            if len(body) > LONGEST_ANSWER:
                raise ClusterFailure(f"the cluster's answer is longer than {LONGEST_ANSWER} bytes")
    try:
        document = json.loads(bytes(body))
    except ValueError:
        document = {}
    asked = response.headers.get("Retry-After", "")
    after = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else None
    return Answer(response.status_code, document if isinstance(document, dict) else {}, after)


def _failure(path: str, answer: Answer) -> ClusterFailure:
    reason = _reason(answer)
    if answer.status == 410:
        return Gone(reason, 410)
    if answer.status == 401:
        text = "the cluster does not know us; see that the kubeconfig, or the service account, still holds"
    elif answer.status == 403:
        text = f"the cluster does not let us: {reason}"
    elif answer.status in _BUSY:
        text = f"the cluster is too busy or ill: {reason}; it is tried again"
    else:
        text = f"the cluster refused {path.rpartition('/')[2]}: {reason}"
    return ClusterFailure(text, answer.status, answer.retry_after)


def _reason(answer: Answer) -> str:
    """Give what a `Status` says (Kubernetes API conventions, "Response Status Kind")."""
    message = answer.document.get("message")
    return str(message)[:LONGEST_REASON] if message else f"status {answer.status}"


def _unreachable(url: str, error: httpx.HTTPError) -> str:
    return f"{url} cannot be reached: {str(error) or type(error).__name__}; see whether the cluster is up"
