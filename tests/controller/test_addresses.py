"""How a pod is reached from outside."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.addresses import credentials_of, uris_of
from controller.model import EndpointSettings, Pod
from controller.settings import Settings
from controller.templates import Credential, Template, TemplateEndpoint
from router.access import AccessLevel

SETTINGS = Settings(Path("/home"), "pods.example.org", "0.0.0.0", 8443, Path("/ca.pem"))
POD = Pod(1, "my-pod-1", "my-pod", "t", AccessLevel.PUBLIC, 0.0, secrets={"owner": "s&cret/", "read": "r"})


def template(*endpoints: TemplateEndpoint) -> Template:
    return Template("t", "", "", database_name="{pod}", endpoints=endpoints, credentials=(Credential("owner", "me"),))


@pytest.mark.parametrize(
    ("endpoint", "port", "uris"),
    [
        (TemplateEndpoint("http"), 8443, {"https": "https://my-pod.pods.example.org:8443/"}),
        (TemplateEndpoint("http"), 443, {"https": "https://my-pod.pods.example.org/"}),
        (TemplateEndpoint("http", "ui"), 443, {"ui:https": "https://my-pod--ui.pods.example.org/"}),
        (
            TemplateEndpoint("bolt"),
            443,
            {"neo4j": "neo4j+s://my-pod.pods.example.org:443", "bolt": "bolt+s://my-pod.pods.example.org:443"},
        ),
        (
            TemplateEndpoint("bolt", http="HTTP_PORT"),
            8443,
            {
                "neo4j": "neo4j+s://my-pod.pods.example.org:8443",
                "bolt": "bolt+s://my-pod.pods.example.org:8443",
                "https": "https://my-pod.pods.example.org:8443/",
            },
        ),
        (TemplateEndpoint("tcp"), 8443, {"tls": "my-pod.pods.example.org:8443"}),
        (
            TemplateEndpoint("postgres"),
            443,
            {
                "owner": "postgresql://me:s%26cret%2F@my-pod.pods.example.org:443/my_pod"
                "?sslmode=verify-full&sslrootcert=/ca.pem"
            },
        ),
    ],
)
def test_the_uris_of_an_endpoint(endpoint: TemplateEndpoint, port: int, uris: dict[str, str]) -> None:
    assert uris_of(POD, template(endpoint), replace(SETTINGS, public_port=port), "alice") == uris


@pytest.mark.parametrize(
    ("domain", "listening", "address"),
    [
        ("pods.localhost", "127.0.0.7", "127.0.0.7"),
        ("localhost", "0.0.0.0", "127.0.0.1"),
        ("pods.localhost", "::", "%3A%3A1"),
        ("pods.localhost", "localhost", "127.0.0.1"),
        ("notlocalhost", "127.0.0.1", None),
    ],
)
def test_where_names_may_not_resolve_the_address_is_given(domain: str, listening: str, address: str | None) -> None:
    settings = replace(SETTINGS, domain=domain, public_host=listening)
    uri = uris_of(POD, template(TemplateEndpoint("postgres")), settings, "alice")["owner"]
    assert uri.partition("&hostaddr=")[2] == (address or "")


@pytest.mark.parametrize("level", [level for level in AccessLevel if level is not AccessLevel.PUBLIC])
def test_a_database_that_is_not_public_is_entered_under_ones_own_name(level: AccessLevel) -> None:
    closed = replace(POD, endpoints={"": EndpointSettings(level)})
    assert uris_of(closed, template(TemplateEndpoint("postgres")), SETTINGS, "alice") == {
        "postgres": "postgresql://alice@my-pod.pods.example.org:8443/my_pod?sslmode=verify-full&sslrootcert=/ca.pem"
    }


def test_a_template_that_is_no_more_leaves_nothing_to_tell() -> None:
    assert uris_of(POD, None, SETTINGS, "alice") == {}
    assert credentials_of(POD, None) == {}
