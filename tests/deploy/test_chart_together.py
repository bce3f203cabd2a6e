"""The chart's containers, as processes of this machine: the home that its script fills, a controller, the door beside
it, and a gateway with a home of its own, all by the arguments that helm rendered. Only their addresses and the runtime
are others. No image and no cluster take part.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.charts import JSON, ROOT, SMALL, Helm, container, pod_specs
from tests.ports import free_port
from tests.running import PATIENCE, needs_resolver

REQUEST = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /O=Podgate/CN=ours "
    "-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign"
)  # as docs/install-kubernetes.md has it


class Cluster:
    """What the chart would make, on this machine."""

    def __init__(self, helm: Helm, place: Path) -> None:
        self.place = place
        self.port, self.people, self.door_health, self.health = (free_port() for _ in range(4))
        documents = helm.render({**SMALL, "publicPort": self.port})
        self.specs = dict(pod_specs(documents))
        self.home = place / "c" / "home"

    def given(self) -> Path:
        """Make what the Secret and the ConfigMap would hold, as the documents tell people to make it."""
        secret = self.place / "given" / "secret"
        secret.mkdir(parents=True)
        subprocess.run(
            ["openssl", *REQUEST.split(), "-keyout", secret / "ca.key", "-out", secret / "ca.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        for name in ("admin.token", "gateway.token"):
            (secret / name).write_text(f"pgt_{os.urandom(32).hex()}\n")
        config = self.place / "given" / "config"
        config.mkdir()
        (config / "kubernetes.toml").write_text("")
        for path in secret.iterdir():
            path.chmod(0o440)
        return secret.parent

    def environment(self, home: Path, name: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PODGATE_HOME": str(home),
            "POD_NAME": name, "POD_NUMBER": "0",
        }  # fmt: skip

    def prepare(self) -> None:
        init = container(self.specs["podgate-controller"], "home")
        env = {**self.environment(self.home, "podgate-controller-0"), "GIVEN": str(self.given())}
        subprocess.run([*init["command"], *init["args"]], env=env, check=True)

    @contextmanager
    def running(self, spec: JSON, home: Path, pod: str, changed: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a container's arguments with some texts in them changed."""
        env = self.environment(home, pod)
        words = []
        for word in spec["args"]:
            for text, other in {**{f"$({name})": value for name, value in env.items()}, **changed}.items():
                word = word.replace(text, other)
            words.append(word)
        with (self.place / f"{spec['name']}.log").open("wb") as log:
            started = subprocess.Popen([sys.executable, "-m", "podgate", *words], env=env, stdout=log, stderr=log)
        try:
            yield started
        finally:
            started.terminate()
            started.wait()

    def gateways(self) -> list[JSON]:
        """Ask the controller, as an administrator in its container would."""
        command = [sys.executable, "-m", "podgate", "gateways", "--json"]
        done = subprocess.run(command, env=self.environment(self.home, "x"), capture_output=True, text=True)
        found: list[JSON] = json.loads(done.stdout)["gateways"] if done.returncode == 0 else []
        return found

    def log(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in self.place.glob("*.log"))


@pytest.mark.slow
@needs_resolver
def test_gateways_follow_the_controller_through_its_door(helm: Helm, tmp_path: Path) -> None:
    ours = Cluster(helm, tmp_path)
    ours.prepare()
    documented = (ROOT / "docs" / "install-kubernetes.md").read_text()
    assert [word for word in REQUEST.split() if word not in documented] == []
    controller, gateway = ours.specs["podgate-controller"], ours.specs["podgate-gateway"]
    door = {"0.0.0.0:8443": f"127.0.0.1:{ours.port}", "0.0.0.0:9443": f"127.0.0.1:{ours.door_health}"}
    elsewhere = {
        "0.0.0.0:8443": f"127.0.0.1:{ours.people}", "0.0.0.0:9443": f"127.0.0.1:{ours.health}",
        "/etc/podgate": str(tmp_path / "given"), "--drain-notice=15": "--drain-notice=5", "--drain=300": "--drain=1",
    }  # fmt: skip
    with ExitStack() as running:

        def start(spec: JSON, name: str, home: Path, pod: str, changed: dict[str, str]) -> None:
            running.enter_context(ours.running(container(spec, name), home, pod, changed))

        start(
            controller, "controller", ours.home, "podgate-controller-0", {"--runtime=kubernetes": "--runtime=process"}
        )
        start(controller, "door", ours.home, "podgate-controller-0", door)
        until(lambda: is_ready(ours.door_health), ours)
        with ours.running(
            container(gateway, "gateway"), tmp_path / "g" / "home", "podgate-gateway-0", elsewhere
        ) as going:
            until(lambda: is_ready(ours.health), ours)
            both = ["podgate-controller-0", "podgate-gateway-0"]
            until(lambda: sorted(each["replica"] for each in ours.gateways() if each["current"]) == both, ours)
            assert not (tmp_path / "g" / "home" / "authority").exists()
            going.terminate()
            until(lambda: not is_ready(ours.health), ours)
            assert going.poll() is None  # it still takes connections
            assert going.wait(PATIENCE) == 0
    assert "pgt_" not in ours.log()


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def until(true: Callable[[], bool], ours: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, ours.log()
