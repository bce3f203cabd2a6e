"""Logins: the tokens that `podgate login` keeps, one file for each Podgate, readable by their user alone.

A token is never an argument of a program and never in a message; what a command calls with is a `Credential`, which
also knows where it is from and what cures it when the server does not know it.
"""

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from platformdirs import user_config_path

from podgate.cli.failure import Failure
from podgate.cli.output import talk

LARGEST_LOGIN = 64 * 1024  # bytes of a login's file


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call is made with. An empty token: nobody in particular calls."""

    token: str = field(default="", repr=False)
    source: str = ""  # where it is from, for people
    cure: str = ""  # what is wrong and what to do if the server does not know it; empty: the server says so itself


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody signed in at one Podgate."""

    user: str
    token: str = field(repr=False)
    id: str  # by which the server ends the token: its id or, of a token that was pasted, its name
    expires_at: str | None = None
    pasted: bool = False  # the token was there before the login, and may be used elsewhere, too

    @property
    def credential(self) -> Credential:
        """What to call with."""
        cure = f"the login of {self.user} was ended or has expired; sign in again: podgate login {self.user}"
        return Credential(self.token, f"the login of {self.user}", cure)


def path_of(where: str) -> Path:
    """Give the file of the login at `where`, the address or the home of a Podgate."""
    return user_config_path("podgate") / "logins" / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.json"


def read_login(where: str) -> Login | None:
    """Read the login that is kept for `where`. Raises Failure if there is one that cannot be used."""
    path = path_of(where)
    try:
        text = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Failure(f"cannot read the login at {path}: {error.strerror}; remove the file and sign in again") from None
    try:
        found = json.loads(text)
        login = Login(found["user"], found["token"], found["id"], found["expires_at"], found["pasted"])
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{path} holds no login; remove the file and sign in again: podgate login") from None
    return login


def keep_login(where: str, login: Login) -> Path:
    """Keep a login for `where`: the file is there whole or not at all. Raises Failure."""
    path = path_of(where)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps({"at": where, **asdict(login)}, indent=2) + "\n")
    except OSError as error:
        raise Failure(
            f"cannot keep the login at {path}: {error.strerror}; mend the directory's owner or mode"
        ) from None
    return path


def forget_login(where: str) -> None:
    """Forget the login of `where`. Raises Failure."""
    path = path_of(where)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Failure(f"cannot remove {path}: {error.strerror}; remove it yourself") from None


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, in one step, in place of one that may be there. Raises OSError."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
            talk(f"{path} was readable by others, and is not any more; end that login: podgate logout")
        return file.read(LARGEST_LOGIN)
