"""Whether a pod answers its protocol: one short question each, which a usable server answers and no other.

    postgres  a startup message; an authentication request, or an error other than "cannot connect now" (57P03)
    bolt      the handshake; a version
    http      GET; the head of any response, or, where a path is given, one that says success
    tcp       a connection that opens

A pod is probed only until it was ready once: whether its service stays well is its own business.
"""

import os
import re
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

PROBE_TIME = 2.0  # seconds one question may take
FIRST_PAUSE = 0.02  # seconds between two questions, growing to
LONGEST_PAUSE = 0.25
_LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp
_LONGEST_ANSWER = 4096  # bytes read of one

_STARTUP = b"user\0podgate\0database\0podgate\0application_name\0podgate readiness\0\0"
_CANNOT_CONNECT_NOW = b"\0C57P03\0"
_BOLT = bytes.fromhex("6060b017 00080805 00040404 00000003 00000000")
_HTTP_HEAD = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")


@dataclass(frozen=True, slots=True)
class Check:
    """One question: the protocol, where to ask (`host:port` or `unix:/path`), and for http what."""

    protocol: str
    address: str
    path: str = ""


async def until_ready(checks: tuple[Check, ...], user: int | None = None) -> None:
    """Return when every check was answered, by a process of `user` if given; each is asked until it is."""
    for check in checks:
        pause = FIRST_PAUSE
        while not (await answers(check) and listens(check, user)):
            await trio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


def listens(check: Check, user: int | None) -> bool:
    """Tell whether it is the pod's own user who listens on its port: another pod may have taken it first."""
    if user is None or check.address.startswith("unix:"):
        return True
    port = f":{int(check.address.rpartition(':')[2]):04X}"
    owners = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except FileNotFoundError:  # no IPv6 here
            continue
        owners |= {int(row[7]) for row in rows if row[3] == _LISTENS and row[1].endswith(port)}
    return owners == {user}


async def answers(check: Check) -> bool:
    """Ask once, within `PROBE_TIME`."""
    with trio.move_on_after(PROBE_TIME):
        try:
            stream = await _connect(check.address)
            async with stream:
                return await _ASK[check.protocol](stream, check)
        except (OSError, trio.BrokenResourceError):
            return False
    return False


async def _connect(address: str) -> trio.SocketStream:
    if address.startswith("unix:"):
        # The very socket: a link in a pod's run/ would lead a controller that is root anywhere.
        descriptor = os.open(address[5:], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return await _connected(trio.socket.AF_UNIX, f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    host, _colon, port = address.rpartition(":")
    return await _connected(trio.socket.AF_INET, (host, int(port)))


async def _connected(family: int, target: object) -> trio.SocketStream:
    found = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        await found.connect(target)
    except BaseException:
        found.close()
        raise
    return trio.SocketStream(found)


async def _ask_postgres(stream: trio.SocketStream, check: Check) -> bool:
    del check
    await stream.send_all(struct.pack(">II", len(_STARTUP) + 8, 3 << 16) + _STARTUP)
    answer = await _receive(stream, lambda seen: len(seen) >= 5 and len(seen) >= 1 + struct.unpack(">I", seen[1:5])[0])
    return answer[:1] == b"R" or (answer[:1] == b"E" and _CANNOT_CONNECT_NOW not in answer)


async def _ask_bolt(stream: trio.SocketStream, check: Check) -> bool:
    del check
    await stream.send_all(_BOLT)
    answer = await _receive(stream, lambda seen: len(seen) >= 4)
    return len(answer) >= 4 and any(answer[:4]) and not answer.startswith(b"HTTP")


async def _ask_http(stream: trio.SocketStream, check: Check) -> bool:
    host = "localhost" if str(check.address).startswith("unix:") else check.address
    question = f"GET {check.path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    await stream.send_all(question.encode())
    head = _HTTP_HEAD.match(await _receive(stream, lambda seen: len(seen) >= 12))
    return head is not None and (not check.path or head[1].startswith(b"2"))


async def _ask_tcp(stream: trio.SocketStream, check: Check) -> bool:
    del stream, check
    return True


async def _receive(stream: trio.SocketStream, enough: Callable[[bytes], bool]) -> bytes:
    """Read until there is enough, or the other side ended, or sends more than any answer is long."""
    seen = b""
    while len(seen) < _LONGEST_ANSWER and not enough(seen):
        data = await stream.receive_some(_LONGEST_ANSWER)
        if not data:
            break
        seen += data
    return seen


_ASK: dict[str, Callable[[trio.SocketStream, Check], Awaitable[bool]]] = {
    "postgres": _ask_postgres,
    "bolt": _ask_bolt,
    "http": _ask_http,
    "tcp": _ask_tcp,
}
