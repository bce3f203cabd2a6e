"""Settings: what a controller is told when it starts, as plain values."""

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from sqlalchemy import URL

VERSION = "0.1.0"

CONSOLE_LABEL = "podgate"
PROCESS, KUBERNETES = "process", "kubernetes"  # runtimes
_OURS_BY_NATURE = frozenset({"localhost", "test", "internal", "example", "invalid"})  # RFC 6761, RFC 9476


class SettingsProblem(Exception):
    """Settings that do not go together; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Oidc:
    """The OpenID provider people sign in with, from `oidc.toml` in the home."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    create: bool = False  # whoever the provider knows becomes a user when they first sign in
    name: str = ""  # what the sign-in page calls it


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a controller lives, and how the gateways that follow it are reached."""

    home: Path
    domain: str
    public_host: str
    public_port: int
    ca: Path
    console_host: str = ""  # where people sign in: a site of its own, never at or below the domain
    session_hours: float = 12.0  # the longest a sign-in lasts
    oidc: Oidc | None = None
    database: URL | None = field(default=None, repr=False)  # that replicas share; None: a file in the home
    replica: str = ""  # which of them this is; empty: there are no others
    runtime: str = PROCESS  # where pods run

    def __post_init__(self) -> None:
        """Find the console's host if none was given. Raises SettingsProblem."""
        host = self.console_host or default_console_host(self.domain)
        if host == self.domain or host.endswith(f".{self.domain}"):
            raise SettingsProblem(
                f"console: {host} is at or below the pods' domain {self.domain}, where a pod could act for it; "
                "choose another name with --console-host"
            )
        object.__setattr__(self, "console_host", host)

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.home / "controller.sqlite"

    @property
    def socket(self) -> Path:
        """The API's unix socket."""
        return self._socket("api")

    @property
    def public_socket(self) -> Path:
        """The same for whoever comes through a gateway: strangers must not use up the connections of our own."""
        return self._socket("web")

    @property
    def console_socket(self) -> Path:
        """The console's unix socket."""
        return self._socket("console")

    @property
    def console_url(self) -> str:
        """Where the console begins, without a `/` at its end; empty if it has no host."""
        port = "" if self.public_port == 443 else f":{self.public_port}"
        return f"https://{self.console_host}{port}" if self.console_host else ""

    def _socket(self, name: str) -> Path:
        """Give a unix socket: replicas may share a home, and each has its own."""
        return self.home / "run" / (f"{name}-{self.replica}.sock" if self.replica else f"{name}.sock")


def parse_replica(text: str) -> str:
    """Read a replica's name, which goes into names of files. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise ValueError(f"expected a name of at most 63 lower-case letters, digits and - between them, got {text!r}")
    return text


def default_console_host(domain: str) -> str:
    """Give `podgate.` and the domain without its first label; empty where that may be somebody else's name."""
    _label, _dot, rest = domain.partition(".")
    return f"{CONSOLE_LABEL}.{rest}" if "." in rest or rest in _OURS_BY_NATURE else ""


def read_oidc(path: Path) -> Oidc | None:
    """Read `oidc.toml`, if there is one. Raises SettingsProblem."""
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsProblem(f"oidc: {path}: {error.strerror}; mend its owner or mode") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:  # its text could hold the secret
        raise SettingsProblem(f"oidc: {path} is not valid TOML") from error
    kinds = {each.name: bool if each.name == "create" else str for each in fields(Oidc)}
    wrong = [name for name, value in content.items() if not isinstance(value, kinds.get(name, ()))]
    wrong += [name for name in ("issuer", "client_id") if not content.get(name)]
    if wrong:
        raise SettingsProblem(
            f"oidc: {path}: {', '.join(wrong)}: expected the texts issuer, client_id, client_secret and name, the "
            "first two at least, and create = true or false"
        )
    return Oidc(**content)
