"""How a cluster is found: the file in the home, the kubeconfig, the service account."""

from pathlib import Path
from textwrap import dedent

import pytest
import trustme

from controller.runtimes.kubernetes.access import load_access
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue, read_settings
from controller.settings import SettingsProblem


@pytest.fixture
def official() -> None:
    pytest.importorskip("kubernetes", reason="pip install '.[kubernetes]'")


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}", certificate-authority: "{ca}"}}}}]
users: [{{name: u, user: {{token: sesame}}}}]
"""


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "kubernetes.toml") == ClusterSettings()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes.toml"
    file.write_text(
        dedent("""
            namespace = "pods"
            allow = ["ghcr.io/acme/*"]
            [images]
            web = "registry.example/caddy:2"
            [queues.gpu]
            node_selector = { pool = "gpu" }
            tolerations = [{ key = "gpu", operator = "Exists" }]
        """)
    )
    assert read_settings(file) == ClusterSettings(
        namespace="pods",
        allow=("ghcr.io/acme/*",),
        images={"web": "registry.example/caddy:2"},
        queues={"gpu": Queue({"pool": "gpu"}, ({"key": "gpu", "operator": "Exists"},))},
    )


def test_numbers_may_be_written_as_numbers(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes.toml"
    # helm makes each number of a values file one with a point: https://github.com/helm/helm/issues/32035
    file.write_text("cpus = 2\nmost_cpus = 16.0\ncpus_request = 0.25\nmost_gpus = 2.0")
    assert read_settings(file) == ClusterSettings(cpus="2", most_cpus="16", cpus_request="0.25", most_gpus=2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("namespace = ", "is not valid TOML"),
        ("colour = 1", "colour: there is no such setting"),
        ('namespace = "Pods"', "namespace: String should match"),
        ('ram = "much"', "ram: String should match"),
        ("cpus = true", "cpus: Input should be a valid string"),
        ("cpus = -1", "cpus: String should match"),
        ('allow_root = "perhaps"', "allow_root: "),
        ("[queues.gpu]\ncolour = 1", "queues.gpu.colour: there is no such setting"),
        ('reach = "far"', "reach: Input should be"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "kubernetes.toml"
    file.write_text(text)
    with pytest.raises(SettingsProblem, match=reason):
        read_settings(file)


@pytest.mark.usefixtures("official")
async def test_a_kubeconfig_is_read_by_the_official_client(tmp_path: Path, ca: trustme.CA) -> None:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.format(server="https://cluster.test:6443/", ca="ca.pem"))
    access = load_access(ClusterSettings(kubeconfig=str(file)))
    assert access.url == "https://cluster.test:6443"
    assert await access.headers() == {"authorization": "Bearer sesame"}
    assert not isinstance(access.verify, bool)
    assert access.verify.check_hostname


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "nothing is there"),
        ("kind: Config", "config"),
        (KUBECONFIG, "certificate|ca"),
        ("users: [", "it is not valid YAML"),
        ("kubectl config view", "it is no kubeconfig"),
        ("clusters: 1\ncurrent-context: a", "it is no kubeconfig"),
    ],
)
@pytest.mark.usefixtures("official")
def test_kubeconfigs_that_cannot_be_used(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text.format(server="https://cluster.test", ca="nowhere.pem"))
    with pytest.raises(SettingsProblem, match=reason):
        load_access(ClusterSettings(kubeconfig=str(file)))


@pytest.mark.usefixtures("official")
def test_an_address_with_a_password_is_refused_and_not_told(tmp_path: Path, ca: trustme.CA) -> None:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.format(server="https://joe:sesame@cluster.test:6443", ca="ca.pem"))
    with pytest.raises(SettingsProblem, match="has a user in its address") as caught:
        load_access(ClusterSettings(kubeconfig=str(file)))
    assert "sesame" not in str(caught.value)


@pytest.mark.usefixtures("official")
def test_outside_a_cluster_a_kubeconfig_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsProblem, match="give --kubeconfig, or run in the cluster"):
        load_access(ClusterSettings())
