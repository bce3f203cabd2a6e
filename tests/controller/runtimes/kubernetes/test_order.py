"""What may be ordered of a cluster, and what is refused in words."""

from dataclasses import replace

import pytest

from controller.runtimes import Launch, RuntimeFailure
from controller.runtimes.kubernetes.order import amount, judge, offered
from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.templates import load_templates

SETTINGS = ClusterSettings(allow=("ghcr.io/acme/*",), policies_enforced=True, most_gpus=2)
TEMPLATES = offered(load_templates())
KEY = "shop-abcd2345"
APP = {"image": "ghcr.io/acme/app:1"}


@pytest.mark.parametrize(
    ("template", "settings", "given", "reason"),
    [
        (
            "tcp",
            SETTINGS,
            {},
            "there is no template 'tcp' on Kubernetes; there are graph, image, jupyter, postgres, web",
        ),
        ("image", SETTINGS, {}, "image: template image needs it"),
        ("image", SETTINGS, {"image": "nginx"}, "docker.io/library/nginx:latest is not among the images allowed"),
        ("image", SETTINGS, {"image": "a b"}, "image: expected an image's name"),
        ("web", replace(SETTINGS, require_digest=True), {}, "can change under its tag"),
        ("web", SETTINGS, {"queue": "big"}, "there is no queue 'big'; there are: none but the default"),
        ("web", SETTINGS, {"ram": "1 Gi"}, "ram: expected a size such as 512Mi or 2Gi"),
        ("web", SETTINGS, {"gpus": "0"}, "gpus: expected a number from 1 to 99"),
        ("web", SETTINGS, {"gpus": "3"}, "gpus: expected more than 0 and at most 2, got 3"),
        ("web", ClusterSettings(policies_enforced=True), {"gpus": "1"}, "gpus: expected more than 0 and at most 0"),
        ("web", SETTINGS, {"ram": "0Mi"}, "ram: expected more than 0 and at most 16Gi, got 0Mi"),
        ("web", SETTINGS, {"ram": "0.000Ti"}, "ram: expected more than 0"),
        ("web", SETTINGS, {"ram": "16.001Gi"}, "ram: expected more than 0 and at most 16Gi"),
        ("web", SETTINGS, {"cpus": "0"}, "cpus: expected more than 0 and at most 8, got 0"),
        ("web", SETTINGS, {"cpus": "8001m"}, "cpus: expected more than 0 and at most 8"),
        ("web", SETTINGS, {"disk": "1T"}, "disk: expected more than 0 and at most 100Gi"),
        ("jupyter", ClusterSettings(), {}, "serves whoever reaches its port.*policies_enforced = true"),
        ("web", ClusterSettings(), {}, "serves whoever reaches its port"),
        ("image", ClusterSettings(), {"image": "ghcr.io/acme/app"}, "serves whoever reaches its port"),
        ("image", SETTINGS, APP | {"port": "65536"}, "port: expected a number from 1024 to 65535"),
        ("image", SETTINGS, APP | {"port": "1023"}, "port: expected a number"),
        ("image", SETTINGS, APP | {"port": "8080\n"}, "port: expected a number"),
        ("image", SETTINGS, APP | {"user": "2147483648"}, "user: expected a number up to 2147483647"),
        ("image", SETTINGS, APP | {"user": "0"}, "user: 0 is root"),
        ("image", SETTINGS, APP | {"user": "00"}, "user: expected a number"),
        *(
            ("image", SETTINGS, APP | {"data": path}, f"data: {path} cannot be the volume's place")
            for path in (
                "/.",
                "/..",
                "/srv/../etc",
                "/srv/",
                "//srv",
                "/tmp",
                "/tmp/x",
                "/dev/shm",
                "/proc/self",
                "/sys",
                "/etc",
                "/podgate",
                "/podgate/run",
                "/podgate/template/x",
            )
        ),
        ("image", SETTINGS, APP | {"data": "srv"}, "data: expected an absolute path"),
        ("image", SETTINGS, APP | {"data": "/srv\nhostPath: /"}, "data: expected an absolute path"),
        ("image", SETTINGS, APP | {"hostNetwork": "true"}, "hostNetwork: template image has no such parameter"),
    ],
)
def test_orders_that_are_refused(template: str, settings: ClusterSettings, given: dict[str, str], reason: str) -> None:
    with pytest.raises(RuntimeFailure, match=reason):
        judge(Launch(KEY, 1, "shop", template, 1, given), TEMPLATES, settings)


@pytest.mark.parametrize("key", ["Shop", "shop-", "s.p", "", "x" * 50])
def test_keys_that_name_nothing_in_kubernetes(key: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot name a pod on Kubernetes"):
        judge(Launch(key, 1, "shop", "web", 1), TEMPLATES, SETTINGS)


def test_quantities() -> None:
    assert amount("500m") < amount("1") < amount("1k") < amount("1M") < amount("1Mi") < amount("1.5Gi") < amount("2G")
