"""`podgate demo`: all of Podgate in a throw-away home, three pods, each proved by clients people really use.

Nothing here is a special way in: pods are made by `podgate pod create`, and the clients get the connection strings
that it prints.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from podgate.cli import proofs
from podgate.cli.failure import Failure
from podgate.cli.output import talk
from podgate.cli.proofs import POD_PATIENCE, Demo, Pod, Skipped

PODS = {"demo-db": "postgres", "demo-graph": "graph", "demo-web": "web"}
START_PATIENCE = 60  # seconds for `podgate serve`


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
        talk(f"\nEverything works, {time.monotonic() - began:.0f} s in all.")
        if keep:
            _tell(ours, pods)
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


def _prove(demo: Demo, pods: dict[str, Pod], picture: Path) -> None:
    talk("==> real clients, every certificate verified")
    step("psql, StartTLS, verify-full", lambda: proofs.psql(demo))
    step("psycopg (its own libpq), verify-full", lambda: proofs.psycopg(pods["demo-db"]))
    step("Neo4j driver, bolt+s", lambda: proofs.neo4j(demo, pods["demo-graph"]))
    step("curl", lambda: proofs.curl(demo))
    step("Chromium", lambda: proofs.chromium(demo, pods["demo-web"], picture))
    step("who may come in is who it is shared with", lambda: proofs.levels(demo))
    step("what they may do reaches into the database", lambda: proofs.reader(demo))
    step("an unknown pod is refused in psql's own words", lambda: proofs.refused(demo))


# ---- the end


def _tell(demo: Demo, pods: dict[str, Pod]) -> None:
    talk("==> connect yourself" + f" (PODGATE_HOME={demo.home})")
    for name in pods:
        talk(f"  {demo.podgate('connect', name, '--print').strip()}")


def _end(demo: Demo, serve: subprocess.Popen[bytes], picture: Path) -> None:
    """Remove the pods, which would outlive us, stop Podgate, and leave nothing but the screenshot."""
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
    if leave(demo.home, picture):
        talk(f"What stays is the screenshot: {picture}")


def leave(home: Path, picture: Path) -> bool:
    """Remove a home with all but the screenshot; tell whether there is one."""
    if not picture.exists():
        shutil.rmtree(home)
        return False
    for entry in home.iterdir():
        if entry == picture:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return True
