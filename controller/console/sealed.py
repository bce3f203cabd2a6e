"""Sealed records: what the console keeps in a browser's cookies instead of in memory, unforgeable and with an end.

Nobody can use up memory by beginning things, and a restart of the controller forgets nothing. The form is that of
`router.sealing`, with purposes of the console's own: no record opens as another kind, nor at a gateway.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from router.credentials import Key
from router.sealing import LONGEST_SEALED

Keys = Mapping[str, bytes]  # by id
Record = Mapping[str, str]

_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


def seal_record(purpose: str, record: Record, key: Key, expires: float) -> str:
    """Make the sealed text of a record that is good until `expires`, in seconds since 1970."""
    payload = _encode(json.dumps({"until": expires, **record}, separators=(",", ":")).encode())
    return f"{key.id}.{payload}.{_seal_of(purpose, key.id, payload, key.secret)}"


def open_record(purpose: str, text: str, keys: Keys, now: float) -> Record | None:
    """Give back the record; None: it is not one of ours, not of this purpose, or not good any more."""
    parts = _SHAPE.fullmatch(text) if len(text) <= LONGEST_SEALED else None
    if parts is None:
        return None
    key_id, payload, seal = parts.groups()
    key = keys.get(key_id)
    if key is None or not hmac.compare_digest(_seal_of(purpose, key_id, payload, key), seal):
        return None
    try:
        document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        until = float(document.pop("until"))
    except (binascii.Error, ValueError, KeyError, TypeError):  # sealed by another version of ours
        return None
    return {name: str(value) for name, value in document.items()} if now < until else None


def _seal_of(purpose: str, key_id: str, payload: str, key: bytes) -> str:
    return _encode(hmac.digest(key, f"podgate console {purpose}\n{key_id}\n{payload}".encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
