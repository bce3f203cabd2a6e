"""What an exchange remembers: one client sends nearly the same head again and again, and its judgement is the same.

A head is remembered by all of its bytes but the target, and recalled for another plain target: one that no rule of the
gateway is about. `podgate bench http` tells what it brings: two thirds of the cpu of a request.
"""

import re
from typing import NamedTuple

from gateway.proof import TOKEN_PREFIX
from gateway.web.visit import Admitted
from gateway.wire.httphead import LARGEST_HEAD, RequestHead

MEMORY = 1.0  # seconds that a judgement stands for equal heads: what ends by itself, such as a token, ends so late

# Visible ASCII, no fragment (gateway.wire.httphead), and nothing percent-encoded, which may hide a token.
_PLAIN = re.compile(rb"/(?!\.podgate/)[!-\"$&-~]*+")
_TOKEN = TOKEN_PREFIX.encode("ascii")


class Seen(NamedTuple):
    """A request head without a body that was let in."""

    method: bytes  # with the space after it
    tail: bytes  # all that follows the target
    until: float
    head: RequestHead
    admitted: Admitted
    rewritten: bytes  # the tail as the pod gets it


class Given(NamedTuple):
    """A response head of a known length, by its bytes and what it answers."""

    data: bytes
    request: RequestHead
    length: int
    rewritten: bytes


def see(raw: bytes, head: RequestHead, admitted: Admitted, rewritten: bytes, now: float) -> Seen | None:
    """Remember a head by its bytes and those made of it; None: it is not of the kind that is remembered."""
    begin = len(head.method) + 1
    end = begin + len(head.target)
    is_plain = head.path == head.target and raw[:begin] == rewritten[:begin] and raw[begin:end] == rewritten[begin:end]
    if not is_plain or _PLAIN.fullmatch(raw, begin, end) is None:
        return None
    return Seen(raw[:begin], raw[end:], now + MEMORY, head, admitted, rewritten[end:])


def recall(seen: Seen, data: bytes) -> bytes | None:
    """Give what the pod is to get for `data`, if that is a remembered head with a plain target."""
    if not data.startswith(seen.method) or not data.endswith(seen.tail) or len(data) > LARGEST_HEAD:
        return None
    begin, end = len(seen.method), len(data) - len(seen.tail)
    if _PLAIN.fullmatch(data, begin, end) is None or data.find(_TOKEN, begin, end) >= 0:
        return None
    return data[:end] + seen.rewritten
