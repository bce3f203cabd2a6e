"""What the chart has run is right: arguments that Podgate takes, times that fit, scripts that do their work."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from controller.home import ensure_tokens
from controller.store.store import Store
from gateway.standing import TELL_ANYWAY
from podgate.cli import app
from tests.deploy.charts import JSON, ROOT, container, one, pod_specs
from tests.running import PATIENCE


def spec_of(documents: list[JSON], workload: str) -> JSON:
    (spec,) = (spec for name, spec in pod_specs(documents) if name == workload)
    return spec


def parsed(args: list[str], env: dict[str, str]) -> dict[str, object]:
    """Give what `podgate` understands by a container's arguments, with `$(NAME)` filled in as kubelets do."""
    filled = [_filled(argument, env) for argument in args]
    group: Any = typer.main.get_command(app)
    command = group.commands[filled[0]]
    return dict(command.make_context(filled[0], filled[1:]).params)


def _filled(text: str, env: dict[str, str]) -> str:
    for name, value in env.items():
        text = text.replace(f"$({name})", value)
    assert "$(" not in text
    return text


ENV = {"PODGATE_HOME": "/var/lib/podgate/home", "POD_NAME": "podgate-gateway-1", "POD_NUMBER": "1"}


@pytest.mark.parametrize(
    ("workload", "name"), [("gateway", "gateway"), ("controller", "controller"), ("controller", "door")]
)
def test_podgate_takes_the_arguments(documents: list[JSON], workload: str, name: str) -> None:
    spec = container(spec_of(documents, f"podgate-{workload}"), name)
    told = parsed(spec["args"], ENV)
    assert told["home"] == Path(ENV["PODGATE_HOME"])
    known = {variable["name"] for variable in spec["env"]}
    assert not [each for each in ENV if f"$({each})" in " ".join(spec["args"]) and each not in known]


def test_a_gateway_is_told_all_that_the_values_say(rendered: dict[str, list[JSON]]) -> None:
    told = parsed(container(spec_of(rendered["much"], "podgate-gateway"), "gateway")["args"], ENV)
    wanted = {
        "domain": "pods.example.org", "console_host": "signin.example.net", "public_port": 443, "replica": 1,
        "controller": "https://api.pods.example.org",
        "controller_address": "podgate-controller.podgate.svc:443", "controller_ca": Path("/etc/podgate/tls/ca.crt"),
        "token_file": Path("/etc/podgate/secret/gateway.token"), "client_ca": Path("/etc/podgate/secret/ca.pem"),
        "certificate": Path("/etc/podgate/tls/tls.crt"), "key": Path("/etc/podgate/tls/tls.key"),
        "name": "podgate-gateway-1",
        "listen": "0.0.0.0:8443", "http_listen": "0.0.0.0:8080", "health": "0.0.0.0:9443", "workers": 2,
        "drain": 300.0, "drain_notice": 15.0, "early_drop": "100:30:400",
        "peer": [f"podgate-gateway-{number}.podgate-peers.podgate.svc:7443" for number in range(3)],
        "peer_listen": "0.0.0.0:7443",
    }  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    assert ",".join(told["proxy_from"]) == "10.0.0.0/24,2001:db8::/64"  # type: ignore[arg-type]


def test_clients_of_the_door_are_who_they_are(rendered: dict[str, list[JSON]]) -> None:
    told = parsed(container(spec_of(rendered["much"], "podgate-controller"), "door")["args"], ENV)
    assert told["proxy_from"] == ["10.0.1.0/24"]
    assert one(rendered["much"], "Service", "podgate-controller")["spec"]["externalTrafficPolicy"] == "Local"
    assert "externalTrafficPolicy" not in one(rendered["least"], "Service", "podgate-controller")["spec"]


def test_the_database_s_authority_is_where_its_address_is_told_to_name_it(rendered: dict[str, list[JSON]]) -> None:
    spec = spec_of(rendered["much"], "podgate-controller")
    (volume,) = (each for each in spec["volumes"] if each["name"] == "database")
    assert volume["secret"]["secretName"] == "podgate-database"
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]  # not the address itself
    mounts = {each["name"]: each for each in container(spec, "controller")["volumeMounts"]}
    assert (mounts["database"]["mountPath"], mounts["database"]["readOnly"]) == ("/etc/podgate/database", True)
    assert "database" not in {each["name"] for each in container(spec, "door")["volumeMounts"]}
    documented = (ROOT / "docs" / "install-kubernetes.md").read_text()
    assert "sslrootcert=/etc/podgate/database/ca.crt" in documented


def test_gateways_find_each_other_by_names_that_there_will_be(rendered: dict[str, list[JSON]]) -> None:
    documents = rendered["least"]
    told = parsed(container(spec_of(documents, "podgate-gateway"), "gateway")["args"], ENV)
    workload = one(documents, "StatefulSet", "podgate-gateway")
    service = one(documents, "Service", workload["spec"]["serviceName"])
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    hosts = [f"podgate-gateway-{number}.podgate-peers.podgate.svc:7443" for number in range(2)]
    assert (told["peer"], told["peer_listen"]) == (hosts, "0.0.0.0:7443")
    number = next(
        each
        for each in container(spec_of(documents, "podgate-gateway"), "gateway")["env"]
        if each["name"] == "POD_NUMBER"
    )
    assert number["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"


def test_a_gateway_comes_to_one_controller_whatever_it_says(rendered: dict[str, list[JSON]]) -> None:
    """For as long as it makes connections at all, which it does even if nothing changes."""
    service = one(rendered["much"], "Service", "podgate-controller")["spec"]
    assert service["sessionAffinity"] == "ClientIP"
    assert service["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] > 2 * TELL_ANYWAY


def test_ipv6_is_in_brackets(rendered: dict[str, list[JSON]]) -> None:
    told = parsed(container(spec_of(rendered["six"], "podgate-gateway"), "gateway")["args"], ENV)
    assert (told["listen"], told["health"], told["peer_listen"]) == ("[::]:8443", "[::]:9443", "[::]:7443")


@pytest.mark.parametrize(("workload", "name"), [("gateway", "gateway"), ("controller", "door")])
def test_what_still_comes_is_taken_and_links_get_their_drain(documents: list[JSON], workload: str, name: str) -> None:
    """A deletion takes a gateway out of the Service; what still comes is taken for the notice, and for that it has to
    stay ready (KEP-1669); then the drain.
    """
    spec = spec_of(documents, f"podgate-{workload}")
    asked = container(spec, name)
    told = parsed(asked["args"], ENV)
    notice, drain = told["drain_notice"], told["drain"]
    assert isinstance(notice, float)
    assert isinstance(drain, float)
    probe = asked["readinessProbe"]
    assert probe["httpGet"] == {"path": "/serving", "port": "health"}
    assert probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"] <= notice
    assert spec["terminationGracePeriodSeconds"] >= notice + drain + 10
    assert "lifecycle" not in asked  # a preStop hook would keep SIGTERM, and with it the notice, from it
    assert asked["livenessProbe"]["httpGet"]["path"] == asked["startupProbe"]["httpGet"]["path"] == "/live"
    assert {port["name"]: port["containerPort"] for port in asked["ports"]}["health"] == 9443


def test_disruptions_and_places(documents: list[JSON]) -> None:
    for part in ("gateway", "controller"):
        budget = one(documents, "PodDisruptionBudget", f"podgate-{part}")["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        spread = spec_of(documents, f"podgate-{part}")["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for each in spread:
            assert each["labelSelector"]["matchLabels"] == budget["selector"]["matchLabels"]


def test_places_are_as_the_values_say(rendered: dict[str, list[JSON]]) -> None:
    gateway = spec_of(rendered["much"], "podgate-gateway")
    assert (gateway["nodeSelector"], gateway["tolerations"]) == ({"pool": "edge"}, [{"operator": "Exists"}])
    assert spec_of(rendered["much"], "podgate-controller")["priorityClassName"] == "system-cluster-critical"
    spread = spec_of(rendered["six"], "podgate-gateway")["topologySpreadConstraints"]
    assert [each["whenUnsatisfiable"] for each in spread] == ["DoNotSchedule", "ScheduleAnyway"]


# ---- what runs


GIVEN = {
    "secret/admin.token": "pgt_" + "a" * 40, "secret/gateway.token": "pgt_" + "g" * 40,
    "secret/ca.pem": "certificate", "secret/ca.key": "key",
    "config/kubernetes.toml": 'namespace = "pods"', "oidc/oidc.toml": 'issuer = "https://id.example.org"',
}  # fmt: skip


def _prepare(documents: list[JSON], given: Path, home: Path) -> None:
    """Run the script of the init container."""
    init = container(spec_of(documents, "podgate-controller"), "home")
    env = {
        "PATH": os.environ["PATH"],
        "GIVEN": str(given),
        "PODGATE_HOME": str(home),
        "POD_NAME": "podgate-controller-0",
    }
    assert {variable["name"] for variable in init["env"]} == env.keys() - {"PATH"}
    subprocess.run([*init["command"], *init["args"]], env=env, check=True, timeout=PATIENCE)


def test_the_home_is_filled_closed_and_anew_with_each_start(rendered: dict[str, list[JSON]], tmp_path: Path) -> None:
    home, given = tmp_path / "volume" / "home", tmp_path / "given"
    for name, text in GIVEN.items():
        (given / name).parent.mkdir(parents=True, exist_ok=True)
        (given / name).write_text(text)
        (given / name).chmod(0o440)
    _prepare(rendered["least"], given, home)
    (home / "controller.sqlite").write_text("kept")
    places = {name: home / name.split("/")[1] for name in GIVEN} | {
        f"secret/{name}": home / "authority" / name for name in ("ca.pem", "ca.key")
    }
    assert {name: path.read_text() for name, path in places.items()} == GIVEN
    assert {path.stat().st_mode & 0o777 for path in places.values()} == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700
    with Store(tmp_path / "store") as store:
        assert len(ensure_tokens(home, store)) == 2
        assert (home / "admin.token").read_text() == GIVEN["secret/admin.token"]

    (given / "oidc/oidc.toml").unlink()
    (given / "secret/admin.token").write_text("pgt_" + "b" * 40)
    _prepare(rendered["much"], given, home)
    assert not (home / "oidc.toml").exists()
    assert (home / "admin.token").read_text() == "pgt_" + "b" * 40
    assert (home / "controller.sqlite").read_text() == "kept"
    assert (home / "run" / "api.sock").readlink() == Path("api-podgate-controller-0.sock")


def test_without_what_the_secret_is_to_hold_nothing_starts(rendered: dict[str, list[JSON]], tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(subprocess.CalledProcessError):
        _prepare(rendered["least"], tmp_path, tmp_path / "home")


@pytest.mark.parametrize("name", ["least", "much"])
def test_the_controller_s_probe_asks_the_controller(rendered: dict[str, list[JSON]], tmp_path: Path, name: str) -> None:
    """It says yes to a real one, and no where there is none."""
    command = container(spec_of(rendered[name], "podgate-controller"), "controller")["readinessProbe"]["exec"][
        "command"
    ]
    env = {"PODGATE_HOME": str(tmp_path), "POD_NAME": "a"}

    def is_up() -> bool:
        probe = [sys.executable, *command[1:]]
        return subprocess.run(probe, env=env, capture_output=True, timeout=PATIENCE).returncode == 0

    assert command[0] == "python3"
    assert not is_up()
    started = subprocess.Popen([sys.executable, "-m", "controller", "--home", str(tmp_path), "--domain", "pods.test"])
    try:
        if name == "much":  # a replica's socket has its name in it
            (tmp_path / "run").mkdir(exist_ok=True)
            (tmp_path / "run" / "web-a.sock").symlink_to("web.sock")
        deadline = time.monotonic() + PATIENCE
        while not is_up():
            assert started.poll() is None
            assert time.monotonic() < deadline
    finally:
        started.terminate()
        started.wait()
    assert not is_up()
