"""The controller's home: its directories, the lock that keeps a second controller out, and the token files."""

import fcntl
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from controller.names import hash_of, new_secret
from controller.store.store import Store
from controller.tokens import PREFIX as TOKEN_PREFIX

TOKENS = {"admin": "admin.token", "gateway": "gateway.token"}  # scope: file
SHORTEST_TOKEN = 20  # characters, of one that somebody put there by hand
LONGEST_TOKEN = 1024
IDENTITY = "home.id"
ADOPT = "--adopt-home"  # lets a home take the place of one that is lost

log = logging.getLogger(__name__)


class HomeProblem(Exception):
    """The home cannot be used; the text says why and what to do."""


def prepare_home(home: Path) -> None:
    """Make the directories there are to be. A home of root's is traversable: pods' own users have theirs within it."""
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(home.stat().st_mode)
        if os.geteuid() == 0 and mode & 0o111 != 0o111:
            home.chmod(mode | 0o111)
        (home / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeProblem(
            f"home: {error.filename} cannot be made or used: {error.strerror}; choose another with --home"
        ) from error


@contextmanager
def locked(home: Path, replica: str = "") -> Iterator[None]:
    """Hold the home for this process alone, or with other replicas, and then what one replica has in it for this
    process alone. The locks go with the process, however that ends. Raises HomeProblem.
    """
    with ExitStack() as held:
        held.enter_context(_lock(home / "controller.lock", fcntl.LOCK_SH if replica else fcntl.LOCK_EX))
        if replica:
            path = home / f"controller-{replica}.lock"
            held.enter_context(_lock(path, fcntl.LOCK_EX, f"a replica named {replica!r}", "name with --replica"))
        yield


@contextmanager
def _lock(path: Path, how: int, who: str = "another controller", what: str = "home with --home") -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HomeProblem(f"home: {path} cannot be opened: {error.strerror}; mend its owner or mode") from error
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeProblem(f"home: {who} already runs on {path}; stop it, or choose another {what}") from error
        yield
    finally:
        os.close(descriptor)


def identity_of(home: Path) -> str:
    """Give what a home is known by wherever it is moved to; it is made up at first. Raises HomeProblem."""
    path = home / IDENTITY
    try:
        if not path.exists():
            with suppress(FileExistsError):  # a replica was faster
                _write(path, secrets.token_hex(16))
        identity = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise HomeProblem(f"home: {path}: {error.strerror}; mend its owner or mode") from error
    if not re.fullmatch("[0-9a-f]{32}", identity):
        raise HomeProblem(f"home: {path} does not say which home this is; put it back from a copy, or remove it")
    return identity


def ensure_tokens(home: Path, store: Store, *, anew: bool = False) -> dict[str, str]:
    """See that each token has its file and is let in; give the scope of every token by its hash. Raises HomeProblem.

    Where replicas share the store, a home that lacks one that is let in makes none in its place, unless `anew`.
    """
    known = store.tokens() if store.shared else {}
    missing = [name for scope, name in TOKENS.items() if scope in known.values() and not (home / name).exists()]
    if missing and not anew:
        raise HomeProblem(
            f"tokens: {home} has no {' and no '.join(missing)}, and {store.name} knows those of another home; copy "
            f"{', '.join(TOKENS.values())} and authority/ from there, with their modes. "
            f"Only if they are lost for good: podgate controller {ADOPT}, once, with the same options"
        )
    for scope, name in TOKENS.items():
        hashed = hash_of(_token(home / name))
        if scope in known.values() and known.get(hashed) != scope:
            log.warning("tokens: %s is let in now, and the one before no more; every replica's home needs it", name)
        store.set_token(scope, scope, hashed)
    return store.tokens()


def _token(path: Path) -> str:
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            token = TOKEN_PREFIX + new_secret()  # by which gateways know it as ours, and keep it from pods
            try:
                _write(path, token)
            except FileExistsError:  # a replica was faster
                return _read(path)
            log.info("tokens: wrote %s", path.name)
            return token
    except OSError as error:
        raise HomeProblem(f"tokens: {path}: {error.strerror}; mend its owner or mode, or remove it") from error


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
            log.warning("tokens: %s was readable by others; now it is not", path.name)
        token = file.read(LONGEST_TOKEN + 2).strip()
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise HomeProblem(
            f"tokens: {path} holds no usable token: expected one line of at least {SHORTEST_TOKEN} ASCII characters; "
            "remove the file to have a new one made"
        )
    return token


def _write(path: Path, line: str) -> None:
    """Write the file so that it is there whole or not at all, and never readable by others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
