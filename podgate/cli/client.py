"""How the command line reaches the controller: over its unix socket, or over TLS where PODGATE_URL says so."""

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from podgate.cli.failure import Failure
from podgate.cli.logins import Credential, read_login
from podgate.settings import default_home

CONNECT_TIMEOUT = 5.0  # seconds
ANSWER_TIMEOUT = 30.0  # seconds; a call that the controller is asked to hold open gets its own time on top
LOCAL_ADDRESS = "127.0.0.1"
NOT_VALID = "the token is not valid any more (expired, revoked, or of another Podgate)"

Document = dict[str, Any]  # a JSON object as the API gives it; empty where there is nothing to tell


class NotRunning(Failure):
    """Nobody answers where the controller should be."""


class Refused(Failure):
    """The controller answered with a problem document."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def is_local(host: str) -> bool:
    """Tell whether a name is this machine by definition (RFC 6761, section 6.3), whatever a resolver says."""
    return host == "localhost" or host.endswith(".localhost")


class LocalNames(httpx.BaseTransport):
    """Reaches names below `localhost` on this machine without a resolver; TLS still verifies the name itself."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, to this machine's own address where its name says so."""
        host = request.url.host
        if is_local(host):
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=LOCAL_ADDRESS)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


@dataclass(frozen=True, slots=True)
class Target:
    """Where the controller is and how to be let in, as the environment says."""

    home: Path
    url: str  # empty: the unix socket of `home`

    @classmethod
    def from_environment(cls) -> "Target":
        """Read PODGATE_HOME and PODGATE_URL. Raises Failure."""
        url = os.environ.get("PODGATE_URL", "")
        if url and not url.startswith("https://"):
            raise Failure(f"PODGATE_URL is {url!r}; it must begin with https://, or be unset for the local socket")
        return cls(default_home(), url.rstrip("/"))

    @property
    def where(self) -> str:
        """The address or the home: what its login is kept by."""
        return self.url or str(self.home)

    @property
    def api_socket(self) -> Path:
        """The controller's own socket on this machine."""
        return self.home / "run" / "api.sock"

    @property
    def ca(self) -> Path:
        """The authority that clients are to trust."""
        given = os.environ.get("PODGATE_CA")
        return Path(given).absolute() if given else self.home / "authority" / "ca.pem"

    def token(self) -> str:
        """Give the token to call with, see `credential`. Raises Failure."""
        return self.credential().token

    def credential(self) -> Credential:
        """Find what to call with: PODGATE_TOKEN, else the login that is kept, else admin.token. Raises Failure."""
        if given := os.environ.get("PODGATE_TOKEN"):
            cure = f"{NOT_VALID}; sign in: podgate login, and unset PODGATE_TOKEN, which goes first"
            return Credential(given.strip(), "PODGATE_TOKEN", cure)
        if login := read_login(self.where):
            return login.credential
        path = self.home / "admin.token"
        try:
            cure = f"{NOT_VALID}; sign in: podgate login, or set PODGATE_HOME to the right home"
            return Credential(path.read_text().strip(), str(path), cure)
        except OSError as error:
            raise self._without_token(path, error) from None

    def _without_token(self, path: Path, error: OSError) -> Failure:
        """Say that there is nothing to call with, and what to do."""
        if self.url:
            return Failure(f"not signed in at {self.url}; sign in: podgate login --url {self.url}")
        if isinstance(error, FileNotFoundError) and not self.api_socket.exists():
            return self.not_running()
        if isinstance(error, FileNotFoundError):
            cure = "sign in with: podgate login; or set PODGATE_TOKEN, or PODGATE_HOME to the right home"
            return NotRunning(f"there is no token at {path}; {cure}")
        cure = "sign in with: podgate login; or run this as the user who runs Podgate, or set PODGATE_TOKEN"
        return Failure(f"cannot read the token at {path}: {error.strerror}; {cure}")

    def not_running(self) -> NotRunning:
        """Say that nobody answers, and what to do."""
        if self.url:
            return NotRunning(f"nothing answers at {self.url}; check PODGATE_URL and that Podgate runs there")
        return NotRunning(f"Podgate is not running (home {self.home}); start it with: podgate serve")

    def check_is_api(self) -> None:
        """See that the address can be the API's, after it did not answer as that does. Raises Failure."""
        address = urlsplit(self.url)
        if not self.url or (address.hostname or "").startswith("api."):
            return
        port = f":{address.port}" if address.port else ""
        raise Failure(
            f"{self.url} is not Podgate's API, whose name begins with api.; "
            f"use https://api.DOMAIN{port}, where DOMAIN is what the names of the pods end in"
        )

    def transport(self) -> httpx.BaseTransport:
        """Make the connection pool that leads there. Raises Failure."""
        if not self.url:
            self._knock()
            return httpx.HTTPTransport(uds=str(self.api_socket), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context = ssl.create_default_context()
        if self.ca.exists() or "PODGATE_CA" in os.environ:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                reason = error.strerror or "it holds no certificate"
                raise Failure(f"cannot use the authority at {self.ca}: {reason}; check PODGATE_CA") from None
        return LocalNames(httpx.HTTPTransport(verify=context))

    def _knock(self) -> None:
        """Tell whether the socket can be used at all (httpcore 1.0 forgets to close one that could not connect)."""
        try:
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(CONNECT_TIMEOUT)
                knocking.connect(str(self.api_socket))
        except PermissionError:
            raise Failure(f"may not use {self.api_socket}; run this as the user who runs Podgate") from None
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise self.not_running() from None
        except OSError as error:
            raise Failure(f"cannot use {self.api_socket}: {error}; check PODGATE_HOME") from None


class Client:
    """The controller's API. Every call raises Failure with a sentence for people; Refused if there was an answer."""

    def __init__(self, target: Target, credential: Credential | None = None) -> None:
        self.target = target
        self.credential = target.credential() if credential is None else credential
        if not re.fullmatch(r"[!-~]*", self.credential.token):  # an HTTP library would show it in its error
            raise Failure(f"what {self.credential.source} holds is no token; expected one line without spaces")

    def get(self, *path: str, extra_time: float = 0, **parameters: str | float) -> Document:
        """Ask for something."""
        return self._call("GET", path, parameters, None, extra_time)

    def post(self, *path: str, body: Mapping[str, object] | None = None, extra_time: float = 0) -> Document:
        """Make or do something, which may take `extra_time` seconds longer than usual."""
        return self._call("POST", path, {}, body, extra_time)

    def put(self, *path: str, body: Mapping[str, object] | None = None) -> Document:
        """See that something is as told."""
        return self._call("PUT", path, {}, body, 0)

    def patch(self, *path: str, body: Mapping[str, object]) -> Document:
        """Change what is told, and leave the rest."""
        return self._call("PATCH", path, {}, body, 0)

    def delete(self, *path: str, **parameters: str) -> Document:
        """Remove something."""
        return self._call("DELETE", path, parameters, None, 0)

    @contextmanager
    def lines(self, *path: str, **parameters: str | float) -> Iterator[Iterator[str]]:
        """Read an answer line by line, for as long as it lasts."""
        timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT, read=None)
        with (
            self._explained(),
            self._opened() as http,
            http.stream("GET", _joined(path), params=parameters, timeout=timeout) as response,
        ):
            if response.is_error:
                response.read()
                raise self._refusal(response)
            yield response.iter_lines()

    def _call(
        self,
        method: str,
        path: tuple[str, ...],
        parameters: Mapping[str, str | float],
        body: Mapping[str, object] | None,
        extra_time: float,
    ) -> Document:
        timeout = httpx.Timeout(ANSWER_TIMEOUT + extra_time, connect=CONNECT_TIMEOUT)
        with self._explained(), self._opened() as http:
            response = http.request(method, _joined(path), params=parameters, json=body, timeout=timeout)
        if response.is_error:
            raise self._refusal(response)
        if response.status_code == httpx.codes.NO_CONTENT:
            return {}
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            self.target.check_is_api()
            raise Failure(f"{response.url} did not answer as Podgate does; check PODGATE_URL and its version")
        return document

    def _refusal(self, response: httpx.Response) -> Refused:
        """Turn an answer that is an error into a sentence. Raises Failure if it is none of the API's."""
        if response.headers.get("content-type") != "application/problem+json":
            self.target.check_is_api()
        return refusal(response, self.credential)

    def _opened(self) -> httpx.Client:
        token = self.credential.token
        return httpx.Client(
            base_url=f"{self.target.url or 'http://podgate'}/v1",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            transport=self.target.transport(),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what can go wrong on the way into sentences."""
        where = self.target.url or str(self.target.api_socket)
        try:
            yield
        except httpx.TimeoutException:
            raise Failure(f"no answer from {where} in time; try again, or look at the log of podgate serve") from None
        except httpx.ConnectError as error:
            raise self._unreachable(error) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Failure(f"the connection to {where} broke ({error}); check with: podgate status") from None

    def _unreachable(self, error: httpx.ConnectError) -> Failure:
        if reason := distrust(error):
            cure = f"set PODGATE_CA to its authority (tried {self.target.ca})"
            return Failure(f"the certificate of {self.target.url} is not trusted: {reason}; {cure}")
        return self.target.not_running()


def refusal(response: httpx.Response, credential: Credential) -> Refused:
    """Turn an answer that is an error into a sentence."""
    try:
        problem = response.json()
        detail = str(problem.get("detail") or problem.get("title") or "")
        fields = [f"{item['field']}: {item['reason']}" for item in problem.get("errors") or ()]
    except (ValueError, AttributeError, TypeError, KeyError):
        detail, fields = "", []
    status = response.status_code
    unsaid = [field for field in fields if field not in detail]
    if status == httpx.codes.UNAUTHORIZED and credential.cure:
        text = credential.cure
    elif status == httpx.codes.UNPROCESSABLE_ENTITY and unsaid:
        text = f"{detail or 'the request is not valid'}: {'; '.join(unsaid)}"
    else:
        said = f"{status} {response.reason_phrase}".rstrip()  # not every server gives a phrase
        text = detail or f"the controller answered {said}; its log tells more"
    return Refused(status, text.rstrip("."))


def distrust(error: BaseException | None) -> str:
    """Tell why a certificate was refused, if that is what is behind an error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message)
        error = error.__cause__ or error.__context__
    return ""


def _joined(path: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in path)
