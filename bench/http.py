"""What does an HTTP request cost?

Every request carries the cookie of a signed-in user. Podgate checks it on an endpoint that is not public, tells the pod
who is calling and takes the cookie out; its peers, without any authentication, pass it on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.experiment import CPU_PER_REQUEST, MICROSECONDS, RATE, Experiment, Round
from bench.load import wrk
from bench.peers.all import DIRECT
from bench.peers.nginx import NGINX, folders, head
from bench.peers.peer import HOST, Mode
from bench.peers.podgate import session_cookie
from bench.process import running
from bench.rounds import free_port
from bench.serves import listens

CASE = "GET of 16 B"
VARYING = "GET of 16 B, another path each time"
SESSION = 3600.0  # seconds that the cookie is good for
CONNECTIONS = (1, 8, 32, 256)
VARYING_CONNECTIONS = 32
BODY = "0123456789abcdef"
STARTING = 10.0  # seconds


def measure(turn: Round) -> None:
    """Ask for 16 bytes over few and many connections that are kept alive."""
    for connections in CONNECTIONS:
        _ask(turn, CASE, connections)
    _ask(turn, VARYING, VARYING_CONNECTIONS)


def _ask(turn: Round, case: str, connections: int) -> None:
    scheme = "https" if turn.program else "http"
    seconds = max(1, round(turn.seconds))  # wrk counts in whole ones
    before = turn.cpu()
    url = f"{scheme}://{HOST}:{turn.port}/"
    result = wrk.wrk(turn.tools, url, connections, seconds, session_cookie(SESSION), varying=case == VARYING)
    cpu = turn.cpu() - before
    turn.add(case, RATE, result["count"] / result["seconds"], connections, "connections")
    turn.add_latencies(case, result["quantiles"], connections, "connections")
    if turn.program:
        turn.add(case, CPU_PER_REQUEST, cpu / result["count"] * MICROSECONDS, connections, "connections")


@contextmanager
def web_server(_tools: Path, directory: Path) -> Iterator[tuple[int, Any]]:
    """Run an nginx that answers from memory."""
    wrk.check()
    port = free_port()
    configuration = f"""{head(directory, "upstream")}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
{folders(directory)}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "{BODY}"; }}
    }}
}}
"""
    file = directory / "upstream.conf"
    file.write_text(configuration)
    command = [NGINX.find(), "-c", str(file), "-e", str(directory / "upstream.err")]
    with running(command, directory / "upstream.log") as program:
        if not program.comes_to(lambda: listens(port), STARTING):
            raise TimeoutError(f"nobody listens on port {port} after {STARTING:g} s")
        yield port, None


HTTP = Experiment(
    name="http",
    asks="What does an HTTP request cost?",
    limits="The proxy's core; above some 60,000 requests a second the other one, where wrk and nginx share the work. "
    "The few handshakes at a measurement's beginning are in the cpu figure (at 1 s: below 2 %).",
    measure=measure,
    peers=("podgate", DIRECT, "haproxy", "nginx", "envoy", "traefik", "caddy"),
    mode=Mode.HTTP,
    upstream=web_server,
)
