"""The last good route table on disk, so that a gateway starts and serves while its controller is away."""

import json
import logging
import os
import tempfile
from pathlib import Path

from router.snapshot import Routes, snapshot_document

log = logging.getLogger("podgate.routes")


def save(path: Path, routes: Routes) -> None:
    """Write the table so that a crash at any moment leaves the old file or the new one whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                table = routes.table
                json.dump(snapshot_document(routes.version, table, table.quarantined, routes.credentials), file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.error("cannot keep the last good routes in %s: %s", path, error.strerror)


def load(path: Path) -> object | None:
    """Give the document that was saved, or None if there is none to be had."""
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("the last good routes in %s cannot be read (%s); starting without", path, error)
        return None
    return document
