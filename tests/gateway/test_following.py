"""Following a controller elsewhere: what is asked of its address, its authority, and the file that holds the token."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from gateway.enrolment import Enrolment, reason_of
from gateway.following import LONGEST_TOKEN, Controller, ControllerFeed, TurnedAway, Who, read_token
from gateway.sources import NotUp
from podgate.cli.failure import Failure
from podgate.following import Follow
from router.snapshot import Version
from tests.controller.runtimes.homes import new_home


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "berlin.token"
    path.write_text("pgt_secret\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_a_token_is_read_from_a_file_that_others_cannot_read(token: Path, mode: int) -> None:
    token.chmod(mode)
    assert read_token(token) == "pgt_secret"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601])
def test_a_token_that_is_open_to_others_is_refused(token: Path, mode: int) -> None:
    token.chmod(mode)
    with pytest.raises(TurnedAway, match=r"is open to others .* run: chmod 600"):
        read_token(token)


@pytest.mark.parametrize(
    "text", ["", "\n", "two words", "pgt_ä", "x" * (LONGEST_TOKEN + 1), "one\ntwo", "pgt_\0x", "pgt_\x7f"]
)
def test_what_is_no_token_is_refused_without_being_shown(token: Path, text: str) -> None:
    token.write_text(text)
    with pytest.raises(TurnedAway, match="is no token") as refused:
        read_token(token)
    assert not text.strip() or text.strip() not in str(refused.value)


def test_a_missing_token_is_told(tmp_path: Path) -> None:
    with pytest.raises(TurnedAway, match=r"cannot read the token at .*none: No such file"):
        read_token(tmp_path / "none")


@pytest.mark.parametrize("url", ["http://api.pods.test", "api.pods.test", "ftp://api.pods.test", "HTTPS"])
def test_a_controller_elsewhere_is_followed_over_tls_alone(token: Path, url: str) -> None:
    with pytest.raises(ValueError, match="is not an https:// URL"):
        Controller(url, token).check()


def test_an_authority_that_is_none_is_told(token: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot use the authority"):
        Controller("https://api.pods.test", token, ca=tmp_path / "none").check()
    with pytest.raises(ValueError, match="it holds no certificate"):
        Controller("https://api.pods.test", token, ca=token).check()


async def test_a_controller_of_this_machine_that_does_not_run_is_told_as_such(tmp_path: Path) -> None:
    """Before it first starts there is no token either; after it was killed its socket is still there."""
    path, token = tmp_path / "api.sock", tmp_path / "token"
    feed = ControllerFeed(Controller("http://controller", token, path), Who("one", 1))
    send, _ = trio.open_memory_channel[object](0)
    for _life in ("before", "after"):
        with pytest.raises(ExceptionGroup) as lost:
            await feed.follow(send)
        assert lost.group_contains(NotUp, match="the controller does not run")
        with suppress(OSError), socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        token.write_text("pgt_secret")
        token.chmod(0o600)
    await feed.aclose()


def test_each_life_says_that_it_is_another() -> None:
    one, other = Who("berlin", 2), Who("berlin", 2)
    assert one.query() | {"instance": ""} == other.query() | {"instance": ""}
    assert one.instance != other.instance


async def answer_once(stream: trio.abc.Stream, hear: Callable[[str], None]) -> None:
    """Answer a request with nothing, as a controller's double, once its head was heard."""
    hear((await stream.receive_some(4096)).decode())
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await stream.aclose()


async def test_it_says_what_it_runs_already(token: Path, nursery: trio.Nursery) -> None:
    asked: list[str] = []

    async def answer(stream: trio.SocketStream) -> None:
        await answer_once(stream, lambda head: asked.append(head.partition("\r\n")[0]))

    with new_home() as home:
        place = trio.socket.socket(socket.AF_UNIX)
        await place.bind(str(home / "api.sock"))
        place.listen()
        nursery.start_soon(trio.serve_listeners, answer, [trio.SocketListener(place)])
        feed = ControllerFeed(Controller("http://controller", token, home / "api.sock"), Who("berlin", 1))
        send, _receive = trio.open_memory_channel[object](1)
        await feed.follow(send)
        await feed.acknowledge(Version("e", 7), [])
        await feed.follow(send)
        await feed.aclose()
    assert ["epoch=e&version=7" in line for line in asked] == [False, False, True]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("follow", "routes", "reason"),
    [
        (Follow(url="https://api.x"), None, "needs --token-file"),
        (Follow(token=Path("t")), None, "give --controller"),
        (Follow(ca=Path("t")), None, "give --controller"),
        (Follow(address="h:1"), None, "give --controller"),
        (Follow(address="h:1"), Path("routes.toml"), "leave out --controller, --controller-address"),
        (
            Follow(url="https://api.x", address=":1", token=Path("t")),
            None,
            "--controller-address :1: expected HOST:PORT",
        ),
        (Follow(url="https://api.x", address="h:0", token=Path("t")), None, "expected HOST:PORT of where"),
        (Follow(url="https://api.x", token=Path("t")), Path("routes.toml"), "--routes is instead of a controller"),
        (Follow(name="berlin"), Path("routes.toml"), "--routes is instead of a controller"),
        (Follow(client_ca=Path("/none/ca.pem")), None, "there is no file /none/ca.pem"),
    ],
)
def test_what_does_not_go_together_is_told(follow: Follow, routes: Path | None, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        follow.check(routes)


def test_the_home_s_own_controller_needs_nothing() -> None:
    Follow().check(None)
    Follow(name="berlin").check(None)
    Follow(url="https://api.x", token=Path("t")).check(None)


# ---- where it is, and what it signs


class Names(trio.abc.HostnameResolver):
    """What DNS says, for once."""

    def __init__(self, leads_to: str) -> None:
        self.leads_to = leads_to
        self.asked: list[object] = []

    async def getaddrinfo(self, host: bytes | None, port: object, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (self.leads_to, port))]

    async def getnameinfo(self, sockaddr: object, flags: int) -> Any:
        raise NotImplementedError


async def test_it_connects_where_it_is_told_and_speaks_with_whom_it_was_told(
    token: Path, tmp_path: Path, ca: trustme.CA, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up anew for each connection, since behind it may be another by then, and no proxy is asked."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    asked: list[tuple[str, str, str]] = []  # who was asked, by whose name in TLS and in HTTP
    context, named = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), [""]
    ca.issue_cert("api.pods.test").configure_cert(context)
    context.sni_callback = lambda _connection, name, _context: named.append(name)
    port = 0
    for address in ("127.0.0.1", "127.0.0.2"):

        async def answer(stream: trio.SocketStream, address: str = address) -> None:
            def hear(head: str) -> None:
                asked.append((address, named[-1], head.partition("\r\nHost: ")[2].partition("\r\n")[0]))

            with suppress(trio.BrokenResourceError):  # who does not trust it leaves
                await answer_once(trio.SSLStream(stream, context, server_side=True), hear)

        (listener,) = await trio.open_tcp_listeners(port, host=address)
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, answer, [listener])
    names, authority = Names("127.0.0.1"), tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(authority)
    trio.socket.set_custom_hostname_resolver(names)
    url = "https://api.pods.test:8443"
    feed = ControllerFeed(Controller(url, token, ca=authority, address=("door.svc", port)), Who("berlin", 1))
    send, _receive = trio.open_memory_channel[object](1)
    for names.leads_to in ("127.0.0.1", "127.0.0.2"):
        await feed.follow(send)
    await feed.aclose()
    speaks = ("api.pods.test", "api.pods.test:8443")
    assert asked == [("127.0.0.1", *speaks), ("127.0.0.2", *speaks)]
    assert names.asked == [b"door.svc", b"door.svc"]
    other = ControllerFeed(
        Controller("https://api.other.test", token, ca=authority, address=("door.svc", port)), Who("x", 1)
    )
    with pytest.raises(ExceptionGroup) as refused:
        await other.follow(send)
    assert "Hostname mismatch" in reason_of(refused.value.exceptions[0])
    await other.aclose()
    assert len(asked) == 2
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("is_let_in", [True, False])
async def test_only_who_is_let_in_asks_for_a_signature(token: Path, nursery: trio.Nursery, *, is_let_in: bool) -> None:
    asked, signed = [], trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        """Stream nothing until a signature was asked for, or let nobody in."""
        asked.append((await stream.receive_some(4096)).decode().split("?")[0].partition(" HTTP")[0])
        if "POST" in asked[-1]:
            signed.set()
        if is_let_in:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            await signed.wait()
        else:
            await stream.send_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
        await stream.aclose()

    with new_home() as home:
        place = trio.socket.socket(socket.AF_UNIX)
        await place.bind(str(home / "api.sock"))
        place.listen()
        nursery.start_soon(trio.serve_listeners, answer, [trio.SocketListener(place)])
        controller = Controller("http://controller", token, home / "api.sock")
        feed = ControllerFeed(controller, Who("berlin", 1), Enrolment(home / "signed"))
        send, _receive = trio.open_memory_channel[object](1)
        with suppress(ExceptionGroup):
            await feed.follow(send)
        await feed.aclose()
    assert asked == ["GET /v1/routes/stream", "POST /v1/routes/certificate"][: 1 + is_let_in]
    nursery.cancel_scope.cancel()
