"""What OpenSSL agrees to in clients that are not ours: what load.h tells those that are. Left alone, the newest would
offer a key exchange that outlives quantum computers (X25519MLKEM768), and only the peers that know it would pay for it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "OPENSSL_CONF"
ENVIRONMENT: Mapping[str, str] = {VARIABLE: str(Path(__file__).with_name("clients-openssl.cnf"))}
AGREED = "TLS_AES_256_GCM_SHA384, X25519"  # what is left to agree on


def pin() -> None:
    """Begin this program anew, once, so that every OpenSSL in it has read the settings: Python's, and that of libpq.

    Each reads the variable when it is first used, which an import may already have done.
    """
    if not is_pinned():
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **ENVIRONMENT})


def is_pinned() -> bool:
    """Tell whether the clients in this process have these settings."""
    return os.environ.get(VARIABLE) == ENVIRONMENT[VARIABLE]


def unpinned() -> dict[str, str]:
    """Give the environment for what is no client: a proxy or a server that is measured has its own settings."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE or not is_pinned()}
