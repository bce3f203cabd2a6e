"""Settings: what a controller is told when it starts, as plain values."""

from dataclasses import dataclass
from pathlib import Path

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a controller lives, and how the gateways that follow it are reached."""

    home: Path
    domain: str
    public_host: str
    public_port: int
    ca: Path

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.home / "controller.sqlite"

    @property
    def socket(self) -> Path:
        """The API's unix socket."""
        return self.home / "run" / "api.sock"

    @property
    def public_socket(self) -> Path:
        """The same for whoever comes through a gateway: strangers must not use up the connections of our own."""
        return self.home / "run" / "web.sock"
