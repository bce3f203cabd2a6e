"""The provider of identities: from `oidc.toml` in the home (`controller.settings`), or as the environment names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from controller.settings import Oidc, Settings, SettingsProblem

LARGEST_SECRET = 4096  # bytes of the secret's file
LONGEST_NAME = 64  # characters of what the button says
_ON = {"1": True, "0": False, "": False}


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Which provider, who we are to it, and the authority of a private one."""

    oidc: Oidc
    ca: Path | None = None

    @property
    def name(self) -> str:
        """What people know the provider by."""
        return self.oidc.name[:LONGEST_NAME] or "single sign-on"


def oidc_settings(settings: Settings, environ: Mapping[str, str]) -> OidcSettings | None:
    """Find the provider; None: people sign in with passwords only. Raises SettingsProblem."""
    oidc = settings.oidc or oidc_of_environment(environ)
    if oidc is None:
        return None
    check_url(oidc.issuer, "oidc: issuer")
    ca = environ.get("PODGATE_OIDC_CA", "")
    if ca and not Path(ca).is_file():
        raise SettingsProblem(f"PODGATE_OIDC_CA: {ca} is not a file")
    return OidcSettings(oidc, Path(ca) if ca else None)


def oidc_of_environment(environ: Mapping[str, str]) -> Oidc | None:
    """Read the provider out of PODGATE_OIDC_…; None: it names none. Raises SettingsProblem."""
    issuer = environ.get("PODGATE_OIDC_ISSUER", "")
    if not issuer:
        return None
    check_url(issuer, "PODGATE_OIDC_ISSUER")
    client_id = environ.get("PODGATE_OIDC_CLIENT_ID", "")
    if not client_id:
        raise SettingsProblem("PODGATE_OIDC_CLIENT_ID: expected the id the provider gave to this site")
    create = environ.get("PODGATE_OIDC_CREATE", "")
    if create not in _ON:
        raise SettingsProblem("PODGATE_OIDC_CREATE: expected 1 or 0")
    secret = _secret(environ.get("PODGATE_OIDC_CLIENT_SECRET_FILE", ""))
    return Oidc(issuer, client_id, secret, _ON[create], environ.get("PODGATE_OIDC_NAME", ""))


def check_url(url: str, what: str) -> None:
    """See that a URL of the provider is https, or http on this machine. Raises SettingsProblem."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # judged when it is asked for
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    host = parts.hostname or ""
    local = host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")
    if not host or not url.isascii() or not url.isprintable() or " " in url or parts.username or parts.fragment:
        raise SettingsProblem(f"{what}: expected an https URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise SettingsProblem(f"{what}: expected an https URL; http is only for a provider on localhost")


def _secret(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            secret = file.read(LARGEST_SECRET + 1).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsProblem(f"PODGATE_OIDC_CLIENT_SECRET_FILE: {path} cannot be read: {reason}") from None
    if not secret or len(secret) > LARGEST_SECRET:
        raise SettingsProblem(f"PODGATE_OIDC_CLIENT_SECRET_FILE: {path} does not hold one line with the secret")
    return secret
