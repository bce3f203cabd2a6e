"""Certificates and keys in files: written whole or not at all, and read with the checks a key deserves."""

import contextlib
import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from certs.leaf import InvalidLeaf, Leaf

PRIVATE = 0o600  # mode of a file that holds a key
PUBLIC = 0o644
_OTHERS, _OTHERS_OF_ROOTS = 0o077, 0o037  # what a key's mode may not have, and if it is root's, as PostgreSQL has it


class CertificateProblem(Exception):
    """A certificate or key that cannot be used: one sentence that says what is wrong and what to do."""


def load_pair(certificate: Path, key: Path) -> Leaf:
    """Read a certificate chain and its key, as people bring them. Raises CertificateProblem."""
    chain_pem, key_pem = read_public(certificate), read_private(key)
    try:
        leaf = Leaf.from_pem(chain_pem, key_pem)
    except InvalidLeaf as error:
        raise CertificateProblem(f"{certificate} (key {key}) {error}") from error
    now = datetime.now(UTC)
    if now >= leaf.not_after:
        raise CertificateProblem(f"{certificate} expired at {leaf.not_after:%Y-%m-%d %H:%M} UTC; renew it")
    if now < leaf.not_before:
        start = f"{leaf.not_before:%Y-%m-%d %H:%M}"
        raise CertificateProblem(f"{certificate} is not valid before {start} UTC; wait until then, or mend the clock")
    return leaf


def read_public(path: Path) -> bytes:
    """Read a file that anybody may read. Raises CertificateProblem."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateProblem(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def read_private(path: Path, what: str = "a key") -> bytes:
    """Read a key, or `what` else is secret, refused when anybody but its owner could read it too. Raises
    CertificateProblem.

    One of root's may be readable by its group, if we are not root: it was lent to us (a Secret on Kubernetes).
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            mode, lent = stat.S_IMODE(found.st_mode), found.st_uid == 0 != os.geteuid()
            if mode & (_OTHERS_OF_ROOTS if lent else _OTHERS):
                problem = f"{path} holds {what} and is open to others (mode {mode:04o})"
                raise CertificateProblem(f"{problem}; run: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise CertificateProblem(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Put `data` at `path`, whole or not at all even if the machine stops, never more open than `mode`."""
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask took away
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
