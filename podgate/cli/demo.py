"""`podgate demo`: all of Podgate in a throw-away home, three pods, each proved by clients people really use.

Nothing here is a special way in: pods are made by `podgate pod create`, and the clients get the connection strings
that it prints.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from podgate.cli.failure import Failure
from podgate.cli.output import talk

PODS = {"demo-db": "postgres", "demo-graph": "graph", "demo-web": "web"}
START_PATIENCE = 60  # seconds for `podgate serve`
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


def demo(
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Stay up afterwards, until Ctrl-C.")] = False,
) -> None:
    """Show it all in a throw-away home: three pods, each proved by real clients."""
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="podgate-demo-"))
    ours = Demo(home, _free_port())
    picture = home / "demo-web.png"
    serve = _start(ours)
    try:
        talk("==> podgate pod create, three side by side")
        pods = _launch(ours)
        _prove(ours, pods, picture)
        _tell(ours, pods, picture)
        talk(f"\nEverything works, {time.monotonic() - began:.0f} s in all.")
        if keep:
            talk("It stays up (KEEP=1); Ctrl-C ends it and removes the pods.")
            try:
                serve.wait()
            except KeyboardInterrupt:
                talk("")
    finally:
        _end(ours, serve, picture)


def step(what: str, do: Callable[[], str | None]) -> None:
    """Do one thing and tell what it showed and how long it took."""
    began = time.monotonic()
    try:
        shown = do()
    except Skipped as reason:
        talk(f"  -  {what}: skipped, {reason}")
        return
    talk(f"  ✓  {what}{f': {shown}' if shown else ''}  ({time.monotonic() - began:.1f} s)")


def _free_port() -> int:
    """Prefer the default port; take any other if that is in use."""
    for port in (8443, 0):
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failure("no free port on 127.0.0.1")


def _start(demo: Demo) -> subprocess.Popen[bytes]:
    talk(f"==> podgate serve --home {demo.home} --listen 127.0.0.1:{demo.port}")
    command = [sys.executable, "-m", "podgate", "serve", "--home", str(demo.home)]
    with (demo.home / "serve.log").open("wb") as log:
        serve = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{demo.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        step("gateway and controller are up", lambda: demo.podgate("status", "--wait", str(START_PATIENCE)) and None)
    except Failure:
        talk((demo.home / "serve.log").read_text()[-3000:])
        raise
    return serve


def _launch(demo: Demo) -> dict[str, Pod]:
    def create(name: str) -> Pod:
        began = time.monotonic()
        wait = ("--access", "public", "--wait", "--timeout", str(POD_PATIENCE), "--json")
        pod: Pod = json.loads(
            demo.podgate("pod", "create", name, "--template", PODS[name], *wait, patience=POD_PATIENCE + 10)
        )
        talk(f"  ✓  {name} ({PODS[name]}) is {pod['phase']} and routed  ({time.monotonic() - began:.1f} s)")
        return pod

    with ThreadPoolExecutor(len(PODS)) as side_by_side:
        return dict(zip(PODS, side_by_side.map(create, PODS), strict=True))


# ---- the clients


def _prove(demo: Demo, pods: dict[str, Pod], picture: Path) -> None:
    talk("==> real clients, every certificate verified")
    step("psql, StartTLS, verify-full", lambda: _psql(demo))
    step("psycopg (its own libpq), verify-full", lambda: _psycopg(pods["demo-db"]))
    step("Neo4j driver, bolt+s", lambda: _neo4j(demo, pods["demo-graph"]))
    step("curl", lambda: _curl(demo))
    step("Chromium", lambda: _chromium(demo, pods["demo-web"], picture))
    step("an unknown pod is refused in psql's own words", lambda: _refused(demo))


def _psql(demo: Demo) -> str:
    printed = demo.podgate("connect", "demo-db", "--print").strip()
    sql = (
        "create table t (n int); insert into t values (42); "
        "select 'PostgreSQL ' || current_setting('server_version') || ', read back ' || n from t"
    )
    return run(["sh", "-c", f'{printed} -Atqc "$1"', "sh", sql], CLIENT_PATIENCE).strip().splitlines()[-1]


def _psycopg(pod: Pod) -> str:
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


def _neo4j(demo: Demo, pod: Pod) -> str:
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


def _curl(demo: Demo) -> str:
    printed = demo.podgate("connect", "demo-web", "--print").strip()
    answer = run(["sh", "-c", f"{printed} --silent --show-error --fail --include"], CLIENT_PATIENCE)
    return answer.splitlines()[0]


def _chromium(demo: Demo, pod: Pod, picture: Path) -> str:
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


def _refused(demo: Demo) -> str:
    conninfo = f"host=nothing.pods.localhost hostaddr=127.0.0.1 port={demo.port} sslmode=verify-full user=owner"
    try:
        run(["psql", f"{conninfo} sslrootcert={demo.ca}", "-c", "select 1"], CLIENT_PATIENCE)
    except Failure as error:
        if "there is no pod behind nothing.pods.localhost" in str(error):
            return "there is no pod behind nothing.pods.localhost"
        raise
    raise Failure("psql reached a pod that does not exist")


# ---- the end


def _tell(demo: Demo, pods: dict[str, Pod], picture: Path) -> None:
    talk("==> connect yourself" + f" (PODGATE_HOME={demo.home})")
    for name in pods:
        talk(f"  {demo.podgate('connect', name, '--print').strip()}")
    if picture.exists():
        talk(f"  screenshot: {picture}")


def _end(demo: Demo, serve: subprocess.Popen[bytes], picture: Path) -> None:
    """Remove the pods, which would outlive us, stop Podgate, and leave only the screenshot."""
    talk("==> removing the pods and stopping")
    try:
        for name in json.loads(demo.podgate("pod", "list", "--json"))["pods"]:
            demo.podgate("pod", "delete", name["name"], "--wait")
    finally:
        serve.terminate()
        try:
            serve.wait(60)
        except subprocess.TimeoutExpired:
            serve.kill()
            serve.wait()
    for entry in demo.home.iterdir():
        if entry == picture:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
