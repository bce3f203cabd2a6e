"""What `podgate demo` shows: real clients at the pods of a running Podgate, every certificate verified."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from podgate.cli.failure import Failure

POD_PATIENCE = 120  # seconds for all three pods, which start side by side
CLIENT_PATIENCE = 60  # seconds for one client

Pod = dict[str, Any]


class Skipped(Exception):
    """A client that is not on this machine; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running Podgate of our own."""

    home: Path
    port: int

    @property
    def ca(self) -> Path:
        """The authority that clients trust."""
        return self.home / "authority" / "ca.pem"

    def podgate(self, *arguments: str, patience: float = POD_PATIENCE) -> str:
        """Run a `podgate` command and give what it prints. Raises Failure."""
        command = [sys.executable, "-m", "podgate", *arguments]
        return run(command, patience, PODGATE_HOME=str(self.home))


def run(command: list[str], patience: float, **environment: str) -> str:
    """Run a program and give what it prints. Raises Failure with what it says of its failure."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=patience, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{command[0]} did not end within {patience:g} s") from error
    if done.returncode:
        raise Failure(f"{' '.join(command[:4])} … failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def psql(demo: Demo) -> str:
    """Write and read with the psql of this machine, by the line that `podgate connect` prints."""
    printed = demo.podgate("connect", "demo-db", "--print").strip()
    sql = (
        "create table t (n int); insert into t values (42); "
        "select 'PostgreSQL ' || current_setting('server_version') || ', read back ' || n from t"
    )
    return run(["sh", "-c", f'{printed} -Atqc "$1"', "sh", sql], CLIENT_PATIENCE).strip().splitlines()[-1]


def psycopg(pod: Pod) -> str:
    """Read as the pod's reader, by the libpq of the psycopg wheel."""
    try:
        import psycopg
    except ImportError as error:
        raise Skipped("install it with: pip install 'podgate[clients]'") from error
    with psycopg.connect(pod["uris"]["read"]) as connection:
        tls = connection.pgconn.ssl_in_use
        row = connection.execute("select current_user, n from t").fetchone()
    if not tls or row != ("reader", 42):
        raise Failure(f"psycopg read {row} and TLS is {tls}; expected ('reader', 42) over TLS")
    return f"libpq {psycopg.pq.version() // 10000}, signed in as {row[0]}, read {row[1]}"


def neo4j(demo: Demo, pod: Pod) -> str:
    """Make a small graph with the official driver."""
    try:
        import neo4j
    except ImportError as error:
        raise Skipped("install it with: pip install 'podgate[clients]'") from error
    host = pod["endpoints"][0]["host"]
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise Skipped(f"{host} does not resolve here; install libnss-myhostname, or use: podgate cypher") from error
    os.environ["SSL_CERT_FILE"] = str(demo.ca)
    owner = pod["credentials"]["owner"]
    with neo4j.GraphDatabase.driver(pod["uris"]["bolt"], auth=(owner["user"], owner["password"])) as driver:
        query = "CREATE (a:City {name: 'Austin'})-[:FAR_FROM]->(:City {name: 'Graz'}) RETURN a.name AS name"
        records, summary, _keys = driver.execute_query(query, database_="graph")
    if [record["name"] for record in records] != ["Austin"]:
        raise Failure(f"the graph answered {records}; expected one city, Austin")
    return f"{summary.server.agent}, two cities and a way between them created"


def curl(demo: Demo) -> str:
    """Ask a web pod, by the line that `podgate connect` prints."""
    printed = demo.podgate("connect", "demo-web", "--print").strip()
    answer = run(["sh", "-c", f"{printed} --silent --show-error --fail --include"], CLIENT_PATIENCE)
    return answer.splitlines()[0]


def chromium(demo: Demo, pod: Pod, picture: Path) -> str:
    """Open a web pod in a browser, and take a picture."""
    return f"“{browse(demo, pod, picture)}”, screenshot {picture}"


def browse(demo: Demo, pod: Pod, picture: Path) -> str:
    """Open a web pod in Chromium, take a picture of it, and give the page's title. Raises Skipped and Failure."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise Skipped("install it with: apt-get install chromium")
    uri = pod["uris"]["https"]
    with tempfile.TemporaryDirectory(prefix="podgate-browser-", ignore_cleanup_errors=True) as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
            # Chromium has a trust store of its own: it is told the very key that our own check has verified.
            f"--ignore-certificate-errors-spki-list={_verified_key(demo, pod)}", "--window-size=1000,700",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        page = run([*command, "--dump-dom", uri], CLIENT_PATIENCE)
        run([*command, f"--screenshot={picture}", uri], CLIENT_PATIENCE)
    title = page.partition("<title>")[2].partition("</title>")[0]
    if not title or not picture.exists():
        raise Failure(f"Chromium did not show the page of {pod['name']}")
    return title


def _verified_key(demo: Demo, pod: Pod) -> str:
    """Verify the server by our authority, and give the hash of its public key (RFC 7469, section 2.4)."""
    host = pod["endpoints"][0]["host"]
    context = ssl.create_default_context(cafile=str(demo.ca))
    with (
        socket.create_connection(("127.0.0.1", demo.port)) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
    if certificate is None:
        raise Failure(f"{host} showed no certificate")
    key = x509.load_der_x509_certificate(certificate).public_key()
    return b64encode(sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()).decode()


def refused(demo: Demo) -> str:
    """Ask for a pod that is not there."""
    try:
        run(_psql(demo, "nothing", "owner", "select 1"), CLIENT_PATIENCE)
    except Failure as error:
        if "there is no pod behind nothing.pods.localhost" in str(error):
            return "there is no pod behind nothing.pods.localhost"
        raise
    raise Failure("psql reached a pod that does not exist")


def levels(demo: Demo) -> str:
    """Close the web pod, let one user in by a token, and take that back."""
    demo.podgate("pod", "access", "demo-web", "read")
    demo.podgate("user", "add", "alice", "--no-password")
    token = json.loads(demo.podgate("token", "create", "demo", "--user", "alice", "--json"))["token"]
    found = [_status(demo, ""), _status(demo, token)]
    demo.podgate("share", "demo-web", "--with", "alice", "--level", "read")
    found.append(_status(demo, token))
    demo.podgate("token", "revoke", "demo", "--user", "alice")
    found.append(_status(demo, token))
    demo.podgate("pod", "access", "demo-web", "public")
    if found != ["401", "403", "200", "401"]:
        raise Failure(f"a pod closed to all but alice answered {found}; expected 401, 403, 200 and 401")
    return "401 to strangers, 403 to alice, 200 once it is shared with her, 401 once her token is revoked"


def reader(demo: Demo) -> str:
    """Close the database to all but readers, and read in it by a token; writing is for others."""
    demo.podgate("pod", "access", "demo-db", "read")
    demo.podgate("share", "demo-db", "--with", "alice", "--level", "read")
    token = json.loads(demo.podgate("token", "create", "psql", "--user", "alice", "--json"))["token"]
    sql = "select current_user || ' ' || n from t"
    found = run(_psql(demo, "demo-db", "alice", sql), CLIENT_PATIENCE, PGPASSWORD=token).strip()
    sql = "begin read write; insert into t values (1)"
    try:
        run(_psql(demo, "demo-db", "alice", sql), CLIENT_PATIENCE, PGPASSWORD=token)
    except Failure as error:
        if found != "reader 42" or "permission denied for table t" not in str(error):
            raise
    else:
        raise Failure("alice, who may read, has written")
    finally:
        demo.podgate("pod", "access", "demo-db", "public")
    return "alice reads 42 by her token, and to her insert the database says: permission denied for table t"


def _psql(demo: Demo, name: str, user: str, sql: str) -> list[str]:
    to = f"host={name}.pods.localhost hostaddr=127.0.0.1 port={demo.port} user={user} dbname={name.replace('-', '_')}"
    return ["psql", f"{to} sslmode=verify-full sslrootcert={demo.ca}", "-Atqc", sql]


def _status(demo: Demo, token: str) -> str:
    """Ask the web pod with a token, which goes by a file: process arguments can be read by others."""
    printed = demo.podgate("connect", "demo-web", "--print").strip()
    header = demo.home / "header"
    header.touch(mode=0o600)
    header.write_text(f"Authorization: Bearer {token}\n" if token else "")
    command = f'{printed} --silent --show-error --output /dev/null --write-out "%{{http_code}}" --header @{header}'
    return run(["sh", "-c", command], CLIENT_PATIENCE).strip()
