"""The provider's keys as they were seen last, in a file: web tokens go on being taken when the controller starts while
the provider is away.
"""

import json
import logging
from pathlib import Path

from certs.files import PRIVATE, write_file
from controller.console.oidc.tokens import WebKey

NAME = "oidc-keys.json"
LARGEST = 1024 * 1024  # bytes

log = logging.getLogger("controller.console")


def remember(home: Path, issuer: str, keys: tuple[WebKey, ...]) -> None:
    """Keep the keys of `issuer`; a disk that takes nothing costs no more than a later start without them."""
    document = {"issuer": issuer, "keys": [dict(key) for key in keys]}
    try:
        write_file(home / NAME, json.dumps(document).encode(), PRIVATE)
    except OSError as error:
        log.warning("oidc: the keys of %s are not kept: %s", issuer, error.strerror)


def recall(home: Path, issuer: str) -> tuple[WebKey, ...]:
    """Give the keys of `issuer` that were kept, if there are any."""
    try:
        path = home / NAME
        if path.stat().st_size > LARGEST:
            return ()
        document = json.loads(path.read_bytes())
        keys = document["keys"] if document["issuer"] == issuer else []
        return tuple(key for key in keys if isinstance(key, dict))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("oidc: the keys kept of %s cannot be read: %s", issuer, type(error).__name__)
        return ()
