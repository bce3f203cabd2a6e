"""Drives wrk: HTTP/1.1 over TLS, the server name from the URL's host name, which every *.localhost resolver knows."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from bench.load import openssl
from bench.load.driver import LoadFailed
from bench.missing import Missing, find_program
from bench.peers.peer import HOST

SCRIPT = Path(__file__).parent / "quantiles.lua"


def check() -> None:
    """Raise Missing if wrk cannot work here."""
    if find_program("wrk") is None:
        raise Missing("wrk", "apt-get install wrk")
    try:
        socket.getaddrinfo(HOST, 80)
    except OSError:
        raise Missing(f"a resolver that knows {HOST}", "apt-get install libnss-myhostname") from None


def wrk(url: str, connections: int, seconds: int, cookie: str, *, varying: bool = False) -> dict[str, Any]:
    """Ask for `url` over and over, or for another path each time; give count, seconds, failed and quantiles.

    Raises LoadFailed.
    """
    header = f"Cookie: {cookie}"
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-H", header, "-s", str(SCRIPT), url]
    environment = {**os.environ, **openssl.ENVIRONMENT, "VARYING": "1" if varying else ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
            if result["failed"] or not result["count"]:
                raise LoadFailed(f"wrk: {result['failed']} of its requests failed, {result['count']} did not")
            return result
    raise LoadFailed(f"wrk: {(done.stderr.strip() or done.stdout.strip() or 'it said nothing').splitlines()[-1]}")
