"""Where commands and gateways of a home look: `api.sock` leads to the socket of the leader, or, while nobody leads, to
that of any replica that runs, for all of them answer.
"""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import trio

LOOK_EVERY = 0.5  # seconds


async def keep_pointed(link: Path, own: Path, leads: Callable[[], bool]) -> None:
    """Let the link lead somewhere until cancelled: to our own socket if this replica leads, or if nobody is there."""
    while True:
        if _target(link) != own.name and (leads() or not _answers(link)):
            point(link, own)
        await trio.sleep(LOOK_EVERY)


def point(link: Path, own: Path) -> None:
    """Let a link lead to a socket beside it from now on."""
    draft = link.with_name(f".{own.name}.link")
    draft.unlink(missing_ok=True)
    draft.symlink_to(own.name)
    draft.replace(link)


def _target(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""  # there is none, or it is the socket of a controller that was not a replica


def _answers(path: Path) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as knocking:
        return knocking.connect_ex(os.fspath(path)) in (0, errno.EAGAIN)  # busy is there, too
