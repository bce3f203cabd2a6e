"""The chart's containers, as processes of this machine: the home that its script fills, a controller, the door beside
it, and gateways with homes of their own, all by the arguments that helm rendered. Only their addresses and the runtime
are others. No image and no cluster take part.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import httpx
import pytest

from certs.authority import Authority
from tests.deploy.charts import JSON, LEAST, ROOT, Helm, container, pod_specs
from tests.running import PATIENCE, Podgate, free_port
from tests.scenarios.api import create
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.databases import owner_of
from tests.scenarios.replicas import balancer
from tests.scenarios.test_postgres_matrix import is_cancelled

DOMAIN = LEAST["domain"]  # which no resolver knows
REQUEST = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /O=Podgate/CN=ours "
    "-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign"
)  # as docs/install-kubernetes.md has it


class Cluster:
    """What the chart would make, on this machine."""

    def __init__(self, helm: Helm, place: Path, gateways: int, **values: JSON) -> None:
        self.place = place
        self.home = place / "c" / "home"
        self.door, self.door_health = free_port(), free_port()
        self.ports, self.health, self.peers = ([free_port() for _ in range(gateways)] for _ in range(3))
        chosen = {"replicas": gateways, "workers": 1, "service": {"httpPort": 0}}
        self.specs = dict(pod_specs(helm.render({**LEAST, "publicPort": self.door, "gateway": chosen, **values})))
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Start the controller and its door."""
        self.home.parent.mkdir(mode=0o711)  # pods here are processes of users of their own
        init = container(self.specs["podgate-controller"], "home")
        env = {**self.environment(self.home, "podgate-controller-0"), "GIVEN": str(self.given())}
        subprocess.run([*init["command"], *init["args"]], env=env, check=True)
        (self.home / "serve.log").symlink_to(self.place / "podgate-controller-0-controller.log")  # for `Podgate`
        self._start("controller", {"--runtime=kubernetes": "--runtime=process"})
        self._start("door", self.addresses(self.door, self.door_health))
        until(lambda: is_ready(self.door_health), self)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def given(self) -> Path:
        """Make what the Secrets and the ConfigMap would hold, as the documents tell people to make it."""
        secret, tls, config = (self.place / "given" / name for name in ("secret", "tls", "config"))
        for folder in (secret, tls, config):
            folder.mkdir(parents=True)
        subprocess.run(
            ["openssl", *REQUEST.split(), "-keyout", secret / "ca.key", "-out", secret / "ca.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        for name in ("admin.token", "gateway.token"):
            (secret / name).write_text(f"pgt_{os.urandom(32).hex()}\n")
        own = Authority.open(self.place / "another")
        leaf = own.issue((f"*.{DOMAIN}", "podgate.example.org"), datetime.now(UTC))
        for name, data in (("tls.crt", leaf.chain_pem), ("tls.key", leaf.key_pem), ("ca.crt", own.path.read_bytes())):
            (tls / name).write_bytes(data)
        (config / "kubernetes.toml").write_text("")
        for path in (*secret.iterdir(), *tls.iterdir()):
            path.chmod(0o400)
        return secret.parent

    def environment(self, home: Path, name: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PODGATE_HOME": str(home),
            "POD_NAME": name, "POD_NUMBER": name.rpartition("-")[2],
        }  # fmt: skip

    def addresses(self, port: int, health: int) -> dict[str, str]:
        """What is another in a container's arguments here, for lack of a network for each."""
        return {
            "0.0.0.0:8443": f"127.0.0.1:{port}", "0.0.0.0:9443": f"127.0.0.1:{health}",
            "/etc/podgate": str(self.place / "given"), "--drain-notice=15": "--drain-notice=3",
            "--drain=300": "--drain=1", f"podgate-controller.podgate.svc:{self.door}": f"127.0.0.1:{self.door}",
        }  # fmt: skip

    @contextmanager
    def gateway(self, number: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run a gateway, and wait until it is ready."""
        peers = {
            f"podgate-gateway-{other}.podgate-peers.podgate.svc:7443": f"127.0.0.1:{port}"
            for other, port in enumerate(self.peers)
        }
        own = {"0.0.0.0:7443": f"127.0.0.1:{self.peers[number]}"}
        changed = {**self.addresses(self.ports[number], self.health[number]), **peers, **own}
        spec, pod = container(self.specs["podgate-gateway"], "gateway"), f"podgate-gateway-{number}"
        with self._process(spec, self.place / pod / "home", pod, changed) as started:
            until(lambda: is_ready(self.health[number]), self)
            yield started

    def _start(self, name: str, changed: dict[str, str]) -> None:
        spec = container(self.specs["podgate-controller"], name)
        self._running.enter_context(self._process(spec, self.home, "podgate-controller-0", changed))

    @contextmanager
    def _process(self, spec: JSON, home: Path, pod: str, changed: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a container's arguments with some texts in them changed."""
        env = self.environment(home, pod)
        words = []
        for word in spec["args"]:
            for text, other in {**{f"$({name})": value for name, value in env.items()}, **changed}.items():
                word = word.replace(text, other)
            words.append(word)
        with (self.place / f"{pod}-{spec['name']}.log").open("wb") as log:
            started = subprocess.Popen([sys.executable, "-m", "podgate", *words], env=env, stdout=log, stderr=log)
        try:
            yield started
        finally:
            started.terminate()
            started.wait()

    def gateways(self) -> dict[str, JSON]:
        """Ask the controller, as an administrator in its container would."""
        command = [sys.executable, "-m", "podgate", "gateways", "--json"]
        done = subprocess.run(command, env=self.environment(self.home, "x"), capture_output=True, text=True)
        found: list[JSON] = json.loads(done.stdout)["gateways"] if done.returncode == 0 else []
        return {each["replica"]: each for each in found}

    def log(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in self.place.glob("*.log"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: paths of unix sockets may be 107 bytes."""
    with TemporaryDirectory(prefix="pg-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.mark.slow
def test_gateways_follow_the_controller_through_its_door(helm: Helm, place: Path) -> None:
    documented = (ROOT / "docs" / "install-kubernetes.md").read_text()
    assert [word for word in REQUEST.split() if word not in documented] == []
    with Cluster(helm, place, 1) as ours, ours.gateway(0) as going:
        found = ours.gateways()
        assert sorted(found) == ["podgate-controller-0", "podgate-gateway-0"]
        assert all(each["current"] for each in found.values())
        assert not (place / "podgate-gateway-0" / "home" / "authority").exists()
        for health in (ours.health[0], ours.door_health):
            metrics = httpx.get(f"http://127.0.0.1:{health}/metrics", timeout=5)
            assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert "\npodgate_ready 1.0\n" in metrics.text
        going.terminate()
        until(lambda: not is_ready(ours.health[0]), ours)
        assert going.poll() is None  # it still takes connections
        assert going.wait(PATIENCE) == 0
    assert "pgt_" not in ours.log()


@pytest.mark.slow
def test_a_cancel_passes_between_gateways_that_have_a_certificate_of_their_own(helm: Helm, place: Path) -> None:
    """Clients see the Secret's; what the gateways show each other is signed by the controller. Whose first connection
    came to one of them cancels at the other.
    """
    tls = {"secret": "podgate-tls", "caKey": "ca.crt"}
    with Cluster(helm, place, 2, tls=tls) as ours, ours.gateway(0), ours.gateway(1):
        podgate = Podgate(ours.home)  # as who asks the API of that home
        try:
            pod = create(podgate, "vault", "postgres", "public")
            way = replace(owner_of(podgate, pod), ca=place / "another" / "ca.pem")
            with balancer((ours.ports[0], ours.ports[1])) as between:
                client = Psycopg(replace(way, port=between))
                is_cancelled(client, replace(way, port=ours.ports[0]))
                assert client.ask("select 1") == "1"
                client.close()
        finally:
            podgate.delete_pods()
    assert ours.log().count("passed on a cancel\n") == 1
    assert "BEGIN" not in ours.log()


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def until(true: Callable[[], bool], ours: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, ours.log()
