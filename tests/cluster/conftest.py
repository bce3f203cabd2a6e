"""A real cluster, as `make test-cluster` names it, and a namespace of the tests' own in it."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from tests.deploy.conftest import helm, tools

__all__ = ["helm", "tools"]  # fixtures
JSON = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster")
    group.addoption("--kubeconfig", type=Path, help="of the cluster to work on")
    group.addoption("--no-kubelet", action="store_true", help="it is an API server alone: no pod will ever run")
    group.addoption("--image", default="", help="of Podgate, which the cluster can pull: the chart is installed too")


@dataclass(frozen=True)
class Cluster:
    """A cluster, by kubectl."""

    kubectl: str
    kubeconfig: Path
    namespace: str

    def run(self, *arguments: str, given: str = "", ok: bool = True, timeout: float = 120) -> str:
        """Run kubectl in the tests' namespace; give what it says."""
        command = [self.kubectl, "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0 or not ok, done.stderr
        return done.stdout if ok else done.stdout + done.stderr

    def apply(self, documents: list[JSON], *options: str) -> str:
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        return self.run("apply", "--server-side", *options, "--filename", "-", given=given)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tools: Path) -> Iterator[Cluster]:
    kubeconfig = request.config.getoption("--kubeconfig")
    assert kubeconfig is not None, "say which cluster: --kubeconfig FILE"
    name = f"podgate-test-{secrets.token_hex(4)}"
    found = Cluster(shutil.which("kubectl") or str(tools / "kubectl"), kubeconfig.expanduser().absolute(), name)
    found.run("create", "namespace", name)
    try:
        yield found
    finally:
        found.run("delete", "namespace", name, "--wait=false", ok=False)


@pytest.fixture(scope="session")
def kubelet(request: pytest.FixtureRequest) -> None:
    """What runs pods."""
    if request.config.getoption("--no-kubelet"):
        pytest.skip("no kubelet: the cluster is said to run no pods (--no-kubelet)")


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say how much of it ran."""
    if config.getoption("--kubeconfig") is None:
        return  # other tests ran
    stats = terminalreporter.stats
    ran = sum(len(stats.get(how, ())) for how in ("passed", "failed", "error"))
    left_out = len(stats.get("skipped", ()))
    terminalreporter.write_line(f"on the real cluster: {ran} ran, {left_out} did not run; each of these is named below")
