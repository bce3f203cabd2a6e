"""`podgate doctor`: what it prints, and what it leaves with."""

from pathlib import Path

import pytest
import yaml

from controller.runtimes.kubernetes.rights import NEEDED, Right
from tests.podgate.checkup.clusters import Authority, served
from tests.podgate.cli.conftest import Run
from tests.ports import free_port


def kubeconfig(directory: Path, url: str) -> Path:
    path = directory / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    path.write_text(
        yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"})
    )
    return path


def test_a_machine_that_has_all(run: Run, home: Path) -> None:
    outcome = run("doctor", "--listen", f"127.0.0.1:{free_port()}")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == f"ok    home: {home}"
    assert ", 0 wrong, " in lines[-1]


def test_what_is_wrong_is_told_with_its_cure_and_by_the_exit_code(run: Run, home: Path) -> None:
    outcome = run("doctor", "--listen", "127.0.0.1")
    assert outcome.code == 1
    told = "WRONG port: '127.0.0.1': expected HOST:PORT, such as 127.0.0.1:8443 or [::]:443\n      → give --listen"
    assert told in outcome.out


def test_json_says_the_same(run: Run, home: Path) -> None:
    found = run("doctor", "--json", "--listen", f"127.0.0.1:{free_port()}").json()
    assert found["ok"] is True
    assert {"what": "home", "state": "ok", "found": str(home), "cure": ""} in found["findings"]


def test_a_cluster_is_looked_at_where_pods_run_in_one(run: Run, home: Path, tmp_path: Path) -> None:
    api = Authority()
    with served(api) as url:
        arguments = ("--runtime", "kubernetes", "--kubeconfig", str(kubeconfig(tmp_path, url)))
        port = ("--listen", f"127.0.0.1:{free_port()}")
        outcome = run("doctor", *arguments, *port)
        assert outcome.code == 0, outcome.out
        assert f"ok    rights: all {len(NEEDED)} that the runtime needs in namespace podgate" in outcome.out
        api.rights.discard(Right("", "pods", "watch"))
        outcome = run("doctor", *arguments, *port, "--json")
        assert outcome.code == 1
        assert "this account may not, in namespace podgate: watch pods" in outcome.out


@pytest.mark.parametrize("content", ["not = [valid", 'namespace = "Not One"'])
def test_settings_that_cannot_be_read_are_told(run: Run, home: Path, content: str) -> None:
    (home / "kubernetes.toml").write_text(content)
    outcome = run("doctor", "--runtime", "kubernetes", "--listen", f"127.0.0.1:{free_port()}")
    assert outcome.code == 1
    assert "WRONG cluster: kubernetes: " in outcome.out


def test_a_kubeconfig_that_is_not_there_is_told(run: Run, home: Path, tmp_path: Path) -> None:
    outcome = run("doctor", "--runtime", "kubernetes", "--kubeconfig", str(tmp_path / "none"))
    assert outcome.code == 1
    assert "give a kubeconfig that works with kubectl" in outcome.out
