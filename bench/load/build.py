"""Compiles the load programs with the system's compiler."""

import subprocess
from pathlib import Path

from bench.missing import Missing

SOURCES = Path(__file__).parent
PROGRAMS = ("upstream", "requests", "bulk", "connect", "idle", "manners")


def build(directory: Path) -> None:
    """Compile all load programs into `directory`. Raises Missing without a compiler or OpenSSL's headers."""
    for program in PROGRAMS:
        files = ["-o", str(directory / program), str(SOURCES / f"{program}.c")]
        command = ["cc", "-O2", "-pthread", *files, "-lssl", "-lcrypto"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Missing("the load programs", "there is no C compiler; install gcc") from None
        if "openssl/" in done.stderr and "No such file" in done.stderr:
            raise Missing("the load programs", "OpenSSL's headers are not installed; install libssl-dev")
        if done.returncode:
            raise Missing("the load programs", f"{program}.c does not compile here: {done.stderr.strip()}")
