"""pgbouncer in session mode, Postgres only: it logs in at the server once and gives that session to later clients."""

from collections.abc import Mapping

from bench.peers.peer import Job, Mode, Peer
from bench.peers.versions import version_of

ROLE, PASSWORD = "bench", "bench"  # of the benchmark's own Postgres, which listens on loopback while it runs


def files(job: Job) -> Mapping[str, str]:
    """Give pgbouncer.ini and its list of users."""
    return {
        "pgbouncer.ini": f"""\
[databases]
* = host=127.0.0.1 port={job.upstream}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {job.port}
unix_socket_dir =
listen_backlog = 4096
pool_mode = session
default_pool_size = 100
max_client_conn = 10000
auth_type = scram-sha-256
auth_file = {job.directory}/users.txt
client_tls_sslmode = require
client_tls_cert_file = {job.certificate}
client_tls_key_file = {job.key}
client_tls_protocols = tlsv1.3
log_connections = 0
log_disconnections = 0
log_stats = 0
""",
        "users.txt": f'"{ROLE}" "{PASSWORD}"\n',
    }


PGBOUNCER = Peer(
    name="pgbouncer",
    label="pgbouncer",
    program="pgbouncer",
    advice="apt-get install pgbouncer",
    modes=frozenset({Mode.POSTGRES}),
    files=files,
    arguments=lambda job: [str(job.directory / "pgbouncer.ini")],
    version=lambda program: version_of(program, "--version"),
    user="nobody",
)
