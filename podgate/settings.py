"""What holds unless told otherwise."""

import os
from pathlib import Path

from platformdirs import user_data_path

SYSTEM_HOME = Path("/var/lib/podgate")
DEFAULT_DOMAIN = "pods.localhost"
DEFAULT_LISTEN = "127.0.0.1:8443"


def default_home() -> Path:
    """Give the home directory: $PODGATE_HOME, else the system's as root, else one of the user's own."""
    given = os.environ.get("PODGATE_HOME")
    if given:
        return Path(given).absolute()
    return SYSTEM_HOME if os.geteuid() == 0 else user_data_path("podgate")
