"""Accepting in trio: for what is asked now and then, beside the connections of clients (`gateway.server`)."""

import errno
import logging

import trio

log = logging.getLogger("podgate.accepting")

REST = 1.0  # seconds after which a shortage may be over
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


async def accepted(listener: trio.SocketListener, whose: str) -> trio.SocketStream:
    """Wait for a connection; `whose` it is, is for the log. A shortage is told and waited out."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:  # otherwise it left while it was queued (accept(2): treat like EAGAIN)
            if error.errno in _SHORTAGES:
                log.error("%s: cannot take a connection: %s", whose, error.strerror)
                await trio.sleep(REST)
