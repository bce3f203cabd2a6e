"""What does an HTTP request cost?

Podgate looks at the first head of a connection and relays from there on; its peers parse every head.
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
from bench.process import running
from bench.rounds import free_port
from bench.serves import listens

CASE = "GET of 16 B"
CONNECTIONS = (1, 8, 32, 256)
BODY = "0123456789abcdef"
STARTING = 10.0  # seconds


def measure(turn: Round) -> None:
    """Ask for 16 bytes over few and many connections that are kept alive."""
    scheme = "https" if turn.program else "http"
    seconds = max(1, round(turn.seconds))  # wrk counts in whole ones
    for connections in CONNECTIONS:
        before = turn.cpu()
        result = wrk.wrk(turn.tools, f"{scheme}://{HOST}:{turn.port}/", connections, seconds)
        cpu = turn.cpu() - before
        turn.add(CASE, RATE, result["count"] / result["seconds"], connections, "connections")
        turn.add_latencies(CASE, result["quantiles"], connections, "connections")
        if turn.program:
            per_request = cpu / result["count"] * MICROSECONDS
            turn.add(CASE, CPU_PER_REQUEST, per_request, connections, "connections")


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
        listens(port, STARTING, program.check)
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
