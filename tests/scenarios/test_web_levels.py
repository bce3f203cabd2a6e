"""The table of levels, protocols and credentials: who gets how far, each cell with a real client.

For every level there is a web pod and a TCP pod that ask for it. Their caller is erin, who holds `write` on each; root
is an administrator. Web pods are asked by curl; a TCP pod by a TLS client, where only a certificate can tell who calls.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import trustme

from tests.running import PATIENCE, Podgate
from tests.scenarios.api import call, create, delete, share
from tests.scenarios.apps import App, app
from tests.scenarios.people import Curl, Person, add, console, make_token, run_as

LEVELS = ("public", "read", "write", "manage", "owner")
IN, WHO, NO = 200, 401, 403  # let in; say who you are; known, and not enough
TCP_ECHO = (
    "exec python3 -c 'import os, socketserver as s\n"
    "class Echo(s.StreamRequestHandler):\n"
    "    def handle(self): [self.wfile.write(line) for line in self.rfile]\n"
    's.ThreadingTCPServer(("127.0.0.1", int(os.environ["PORT"])), Echo).serve_forever()\''
)


@dataclass(frozen=True, slots=True)
class Place:
    """All that the table's clients need."""

    podgate: Podgate
    erin: Person
    web: dict[str, App]  # by level, as those below
    tcp: dict[str, str]  # host names
    links: dict[str, str]  # addresses
    tokens: dict[str, str]
    certificate: tuple[str, str]  # files: certificate and key


@pytest.fixture(scope="module")
def place(podgate: Podgate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    erin = add(podgate, "erin")
    with ThreadPoolExecutor(3) as side_by_side:
        web = dict(zip(LEVELS, side_by_side.map(lambda level: _web_pod(podgate, level, erin), LEVELS), strict=True))
        tcp = dict(zip(LEVELS, side_by_side.map(lambda level: _tcp_pod(podgate, level, erin), LEVELS), strict=True))
        links = {level: call(podgate, "POST", f"pods/{web[level].name}/links", level="read")["url"] for level in LEVELS}
        tokens = _tokens(podgate, erin, web["manage"].name)
        directory = str(tmp_path_factory.mktemp("certificate"))
        issued = json.loads(run_as(podgate, tokens["whole"], "certificate", "issue", "--out", directory, "--json"))
        yield Place(podgate, erin, web, tcp, links, tokens, (issued["certificate"], issued["key"]))
        names = [f"{kind}-{level}" for kind in ("web", "tcp") for level in LEVELS]
        list(side_by_side.map(lambda name: delete(podgate, name), names))


def _web_pod(podgate: Podgate, level: str, erin: Person) -> App:
    made = app(podgate, f"web-{level}", level)
    call(podgate, "PATCH", f"pods/{made.name}/endpoints/default", certificates=True)
    share(podgate, made.name, erin.name, "write")
    return made


def _tcp_pod(podgate: Podgate, level: str, erin: Person) -> str:
    name = f"tcp-{level}"
    create(podgate, name, "tcp", level, command=TCP_ECHO)
    call(podgate, "PATCH", f"pods/{name}/endpoints/default", certificates=True)
    share(podgate, name, erin.name, "write")
    return f"{name}.pods.localhost"


def _tokens(podgate: Podgate, erin: Person, elsewhere: str) -> dict[str, str]:
    """Make the tokens; all but root's are erin's, and `elsewhere` is good for one other pod."""
    revoked = call(podgate, "POST", "tokens", name="revoked", user=erin.name)
    call(podgate, "DELETE", f"tokens/{revoked['id']}")
    return {
        "expired": _expired(podgate, erin),
        "revoked": revoked["token"],
        "unknown": "pgt_" + "x" * 43,
        "whole": make_token(podgate, "whole", erin.name),
        "capped": make_token(podgate, "capped", erin.name, level="read"),
        "elsewhere": make_token(podgate, "elsewhere", erin.name, pod=elsewhere),
        "root": make_token(podgate, "root", "admin"),
    }


def _expired(podgate: Podgate, erin: Person) -> str:
    """Make a token, and give it when it has expired."""
    made = call(podgate, "POST", "tokens", name="expired", user=erin.name, expires_in=1)
    ends = datetime.fromisoformat(str(made["expires_at"])).timestamp()
    threading.Event().wait(max(0.0, ends - time.time()))
    return str(made["token"])


# ---- credentials of a web client: each gives the status of its request to a pod in the end

Client = Callable[[Place, Curl, str], int]


def nothing(place: Place, curl: Curl, level: str) -> int:
    return curl.ask(f"{place.web[level].origin}/headers")[0]


def bearer(name: str) -> Client:
    def ask(place: Place, curl: Curl, level: str) -> int:
        header = f"Authorization: Bearer {place.tokens[name]}"
        return curl.ask(f"{place.web[level].origin}/headers", "--header", header)[0]

    return ask


def basic(place: Place, curl: Curl, level: str) -> int:
    return curl.ask(f"{place.web[level].origin}/headers", "--user", f"{place.erin.name}:{place.tokens['whole']}")[0]


def in_address(place: Place, curl: Curl, level: str) -> int:
    status, body = curl.open(f"{place.web[level].origin}/headers?token={place.tokens['whole']}")
    assert place.tokens["whole"] not in body
    return NO if "Sign in" in body else status  # who holds too little may come as somebody else


def certificate(place: Place, curl: Curl, level: str) -> int:
    chain, key = place.certificate
    return curl.ask(f"{place.web[level].origin}/headers", "--cert", chain, "--key", key)[0]


def session(place: Place, curl: Curl, level: str) -> int:
    """Sign in as a browser does; where nobody has to, go on without."""
    status, page = curl.open(f"{place.web[level].origin}/headers")
    if "Sign in" not in page:
        return status
    erin = place.erin
    return curl.send_form(page, "/sign-in", user=erin.name, password=erin.password)[0]


def link(place: Place, curl: Curl, level: str) -> int:
    status, page = curl.open(place.links[level])
    assert status == IN
    action = place.links[level].removeprefix(console(place.podgate))
    return curl.send_form(page, action)[0]


CLIENTS: dict[str, tuple[Client, tuple[int, ...]]] = {
    #                            public read   write  manage owner
    "nothing":       (nothing,             (IN,  WHO, WHO, WHO, WHO)),
    "bearer":        (bearer("whole"),     (IN,  IN,  IN,  NO,  NO)),
    "root's":        (bearer("root"),      (IN,  IN,  IN,  IN,  IN)),
    "capped":        (bearer("capped"),    (IN,  IN,  NO,  NO,  NO)),
    "elsewhere":     (bearer("elsewhere"), (NO,  NO,  NO,  NO,  NO)),  # as for web-manage, which asks for more
    "expired":       (bearer("expired"),   (WHO, WHO, WHO, WHO, WHO)),
    "revoked":       (bearer("revoked"),   (WHO, WHO, WHO, WHO, WHO)),
    "unknown":       (bearer("unknown"),   (WHO, WHO, WHO, WHO, WHO)),
    "as a password": (basic,               (IN,  IN,  IN,  NO,  NO)),
    "in an address": (in_address,          (IN,  IN,  IN,  NO,  NO)),
    "session":       (session,             (IN,  IN,  IN,  NO,  NO)),
    "link":          (link,                (IN,  IN,  NO,  NO,  NO)),
    "certificate":   (certificate,         (IN,  IN,  IN,  NO,  NO)),
}  # fmt: skip


@pytest.mark.parametrize("credential", CLIENTS)
@pytest.mark.parametrize("level", LEVELS)
def test_web(place: Place, tmp_path: Path, level: str, credential: str) -> None:
    client, expected = CLIENTS[credential]
    place.web[level].forget()
    status = client(place, Curl(place.podgate, tmp_path / "jar"), level)
    assert status == expected[LEVELS.index(level)]
    assert bool(place.web[level].received()) == (status == IN)


# ---- a TCP client: a line that comes back, or nothing


def echoed(place: Place, level: str, context: ssl.SSLContext, line: bytes = b"hello\n") -> bytes:
    host = place.tcp[level]
    try:
        with (
            socket.create_connection(("127.0.0.1", place.podgate.port), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            tls.sendall(line)
            return tls.recv(100)
    except (ssl.SSLError, ConnectionError):  # told by an alert, or by the end
        return b""


def shows_nothing(place: Place, _directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(place.podgate.ca))


def shows_a_certificate(place: Place, _directory: Path) -> ssl.SSLContext:
    context = shows_nothing(place, _directory)
    context.load_cert_chain(*place.certificate)
    return context


def shows_anothers_certificate(place: Place, _directory: Path) -> ssl.SSLContext:
    """One of another authority, with the same name in it."""
    context = shows_nothing(place, _directory)
    issued = trustme.CA(organization_name="Podgate").issue_cert(common_name=place.erin.name)
    with issued.private_key_and_cert_chain_pem.tempfile(dir=str(_directory)) as file:
        context.load_cert_chain(file)
    return context


TCP_CLIENTS: dict[str, tuple[Callable[[Place, Path], ssl.SSLContext], set[str]]] = {
    "nothing": (shows_nothing, {"public"}),
    "certificate": (shows_a_certificate, {"public", "read", "write"}),
    "another's certificate": (shows_anothers_certificate, set()),  # whoever shows one means to be somebody
}


@pytest.mark.parametrize("credential", TCP_CLIENTS)
@pytest.mark.parametrize("level", LEVELS)
def test_tcp(place: Place, tmp_path: Path, level: str, credential: str) -> None:
    client, allowed = TCP_CLIENTS[credential]
    assert (echoed(place, level, client(place, tmp_path)) == b"hello\n") == (level in allowed)


def test_a_token_in_the_first_bytes_opens_no_tcp_pod(place: Place, tmp_path: Path) -> None:
    line = f"GET / HTTP/1.1\r\nAuthorization: Bearer {place.tokens['root']}\r\n\r\n".encode()
    assert echoed(place, "read", shows_nothing(place, tmp_path), line) in {b"", b"HTTP"}
