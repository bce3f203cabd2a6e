"""HAProxy, one thread. Postgres only by direct TLS: it does not speak StartTLS."""

from collections.abc import Mapping

from bench.peers.peer import Job, Mode, Peer
from bench.peers.versions import version_of


def files(job: Job) -> Mapping[str, str]:
    """Give haproxy.cfg."""
    alpn = {Mode.HTTP: " alpn http/1.1", Mode.POSTGRES: " alpn postgresql"}.get(job.mode, "")
    tickets = "" if job.resumption else " no-tls-tickets"
    return {
        "haproxy.cfg": f"""\
global
    nbthread 1
    maxconn 9500
    tune.ssl.cachesize {20000 if job.resumption else 0}
defaults
    mode {"http" if job.mode is Mode.HTTP else "tcp"}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{job.port} backlog 4096 ssl crt {job.both} ssl-min-ver TLSv1.3{alpn}{tickets}
    default_backend upstream
backend upstream
    {"http-reuse always" if job.mode is Mode.HTTP else "# no health checks"}
    server one 127.0.0.1:{job.upstream}
"""
    }


HAPROXY = Peer(
    name="haproxy",
    label="HAProxy",
    program="haproxy",
    advice="apt-get install haproxy",
    modes=frozenset(Mode),
    files=files,
    arguments=lambda job: ["-db", "-f", str(job.directory / "haproxy.cfg")],
    version=lambda program: version_of(program, "-v"),
    direct_tls=True,
)
