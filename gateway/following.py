"""Following a controller: the stream of its routes, and what it is told in return.

It is reached over the unix socket of a home that both share, or from anywhere over TLS, at https://api.DOMAIN or, by
that name all the same, at an address that is told: a token of the gateway's own, read from a file, is what lets it in
there, and the controller's certificate is verified before anything is said. What the stream carries (hashes of tokens,
the keys that seal sessions, logins of databases) is as secret as the pods are.
"""

import json
import os
import secrets
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from gateway.enrolment import Enrolment, Signed
from gateway.sources import Documents, NotUp
from gateway.standing import Standing
from router.snapshot import Rejected, Version

SILENCE = 15.0  # seconds without a document until a controller is taken for gone; it pings every 5 s
LONGEST_TOKEN = 1024  # bytes
UNAUTHORIZED, FORBIDDEN, CONFLICT = 401, 403, 409


class TurnedAway(OSError):
    """The controller does not let this gateway follow it; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Who:
    """What a gateway says of itself when it begins to follow."""

    replica: str  # its name: no two that live have the same
    workers: int
    number: int = 0  # which of several gateways it is, for keys that cancel
    software: str = ""  # Podgate's version
    instance: str = field(default_factory=lambda: secrets.token_hex(8))  # of this life: another has another

    def query(self) -> dict[str, str]:
        """Give it as parameters of a URL."""
        return {
            "replica": self.replica, "workers": str(self.workers), "number": str(self.number),
            "software": self.software, "instance": self.instance,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Controller:
    """Where a controller is, and what proves both sides to each other."""

    url: str
    token: Path
    socket: Path | None = None  # instead of the URL's host
    ca: Path | None = None  # whom to trust beside the machine's authorities
    address: tuple[str, int] | None = None  # host and port to connect to; None: where DNS leads the URL's host

    def check(self) -> None:
        """See that it can be followed, as far as can be told from here. Raises ValueError and TurnedAway."""
        if self.socket is None:
            if not self.url.startswith("https://"):
                raise ValueError(f"controller: {self.url!r} is not an https:// URL, and what it tells is secret")
            read_token(self.token)
            self.transport()

    def transport(self) -> httpx.AsyncHTTPTransport:
        """Make the connections there. Raises ValueError."""
        if self.socket is not None:  # no TLS is spoken there, and to load authorities for it takes 40 ms
            return httpx.AsyncHTTPTransport(uds=str(self.socket), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context = ssl.create_default_context()
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
                raise ValueError(f"controller: cannot use the authority at {self.ca}: {reason}") from error
        return _Led(context, *self.address) if self.address else httpx.AsyncHTTPTransport(verify=context)


class _Led(httpx.AsyncHTTPTransport):
    """Connects to one address, looked up anew each time, for whatever host a URL names: that is whom the certificate
    has to be of, and who is asked for.
    """

    def __init__(self, context: ssl.SSLContext, host: str, port: int) -> None:
        super().__init__(verify=context)
        self._host, self._port = host, port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, whose `Host` is there already."""
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=self._host, port=self._port)
        return await super().handle_async_request(request)


def read_token(path: Path) -> str:
    """Read a gateway's token, refused when everybody could read it too. Raises TurnedAway."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(LONGEST_TOKEN + 2).strip()
    except OSError as error:
        raise TurnedAway(f"cannot read the token at {path}: {error.strerror}; check path and owner") from error
    if mode & 0o007:
        raise TurnedAway(f"the token at {path} is open to others (mode {mode:04o}); run: chmod 600 {path}")
    if not 0 < len(text) <= LONGEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in text):  # h11 would show it
        raise TurnedAway(f"what {path} holds is no token; expected one line of podgate gateways token create NAME")
    return text.decode("ascii")


class ControllerFeed:
    """A controller's stream of routes: a source of them (`gateway.sources`)."""

    def __init__(self, controller: Controller, who: Who, enrolment: Enrolment | None = None) -> None:
        """Follow `controller` as `who`, and have it renew the certificates of `enrolment`. Raises ValueError."""
        timeout = httpx.Timeout(5.0, read=SILENCE)
        transport = controller.transport()
        self._client = httpx.AsyncClient(
            base_url=controller.url, transport=transport, timeout=timeout, trust_env=False, follow_redirects=False
        )
        self._socket = controller.socket
        self._token_path = controller.token
        self._who = who
        self._enrolment = enrolment
        self._runs: Version | None = None

    async def aclose(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def follow(self, documents: Documents) -> None:
        """Send what the controller streams; return when it ends. Raises NotUp, OSError and httpx.HTTPError."""
        async with trio.open_nursery() as nursery:
            await self._follow(documents, nursery)
            nursery.cancel_scope.cancel()

    async def sign(self, request: str) -> Signed:
        """Have the controller sign a request. Raises OSError and httpx.HTTPError."""
        body = {"replica": self._who.replica, "csr": request}
        response = await self._client.post("/v1/routes/certificate", json=body, headers=self._headers())
        if response.is_error:
            raise _failure(response)
        try:
            document = response.json()
            return Signed(str(document["certificate"]), str(document["peer"]), str(document["ca"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TurnedAway("the controller gives no certificates; is it of the same version?") from error

    async def _follow(self, documents: Documents, nursery: trio.Nursery) -> None:
        if self._socket is not None and not self._socket.exists():  # nor may its token, before it first starts
            raise NotUp("the controller does not run")
        query = self._who.query()
        if self._runs is not None:  # another replica of the controller is not to tell anything older
            query |= {"epoch": self._runs.epoch, "version": str(self._runs.number)}
        stream = self._client.stream("GET", "/v1/routes/stream", params=query, headers=self._headers())
        try:
            async with stream as response:
                if response.is_error:
                    await response.aread()
                    raise _failure(response)
                if self._enrolment is not None:  # who is not let in need not ask
                    nursery.start_soon(self._enrolment.keep, self.sign)
                async for line in response.aiter_lines():
                    document = json.loads(line)
                    if document != {"kind": "ping"}:
                        await documents.send(document)
        except httpx.ConnectError as error:
            if self._socket is None:
                raise
            raise NotUp("the controller does not run") from error

    async def acknowledge(self, version: Version, rejected: Sequence[Rejected]) -> None:
        """Tell the controller. Raises OSError and httpx.HTTPError."""
        self._runs = version
        await self._post(
            "ack",
            epoch=version.epoch,
            version=version.number,
            rejected=[{"host": item.host, "reason": item.reason} for item in rejected],
        )

    async def report(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Tell the controller. Raises OSError and httpx.HTTPError."""
        await self._post("audit", entries=list(entries))

    async def tell(self, standing: Standing) -> None:
        """Tell the controller. Raises OSError and httpx.HTTPError."""
        await self._post("standing", **standing.to_document())

    def reload(self) -> None:
        """Do nothing: a stream is always up to date."""

    async def _post(self, what: str, **body: object) -> None:
        body["replica"] = self._who.replica
        response = await self._client.post(f"/v1/routes/{what}", json=body, headers=self._headers())
        response.raise_for_status()

    def _headers(self) -> dict[str, str]:
        """Read the token anew each time: the controller makes it when it first starts, and may make another."""
        return {"Authorization": f"Bearer {read_token(self._token_path)}"}


def _failure(response: httpx.Response) -> TurnedAway | httpx.HTTPStatusError:
    """Say why the controller did not do as it was asked."""
    text = f"the controller answered {response.status_code}"
    return _turned_away(response) or httpx.HTTPStatusError(text, request=response.request, response=response)


def _turned_away(response: httpx.Response) -> TurnedAway | None:
    """Give the reason in the controller's own words, where it is one that only people can do something about."""
    if response.status_code == UNAUTHORIZED:
        cure = "get one: podgate gateways token create NAME"
        return TurnedAway(f"the controller does not know this gateway's token; {cure}")
    if response.status_code not in (FORBIDDEN, CONFLICT):
        return None
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return None
    return TurnedAway(detail[:500])
