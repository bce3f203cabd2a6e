"""Settings that go together."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.settings import Oidc, Settings, SettingsProblem, default_console_host, read_oidc

SETTINGS = Settings(Path("/home"), "pods.example.org", "127.0.0.1", 443, Path("/ca.pem"))


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("pods.localhost", "podgate.localhost"),
        ("pods.example.org", "podgate.example.org"),
        ("a.b.example.org", "podgate.b.example.org"),
        ("pods.test", "podgate.test"),
        ("example.org", ""),  # podgate.org is somebody else's
        ("localhost", ""),
    ],
)
def test_the_consoles_name(domain: str, host: str) -> None:
    assert default_console_host(domain) == host
    assert replace(SETTINGS, domain=domain, console_host="").console_host == host


@pytest.mark.parametrize("host", ["pods.example.org", "x.pods.example.org", "a.b.pods.example.org"])
def test_the_console_is_never_where_pods_are(host: str) -> None:
    with pytest.raises(SettingsProblem, match="--console-host"):
        replace(SETTINGS, console_host=host)
    assert replace(SETTINGS, console_host=f"x{host.replace('.', '-')}.org").console_host


def test_the_consoles_url() -> None:
    assert SETTINGS.console_url == "https://podgate.example.org"
    assert replace(SETTINGS, public_port=8443).console_url == "https://podgate.example.org:8443"
    assert replace(SETTINGS, domain="localhost", console_host="").console_url == ""


def test_the_provider_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "oidc.toml"
    assert read_oidc(path) is None
    path.write_text(
        'issuer = "https://id.example.org"\nclient_id = "podgate"\nclient_secret = "hunter2"\ncreate = true\n'
    )
    found = read_oidc(path)
    assert found == Oidc("https://id.example.org", "podgate", "hunter2", True)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "issuer, client_id"),
        ('issuer = "x"', "client_id"),
        ('issuer = "x"\nclient_id = 7', "client_id"),
        ('issuer = "x"\nclient_id = "y"\ncreate = "yes"', "create"),
        ('issuer = "x"\nclient_id = "y"\ncolour = "red"', "colour"),
        ('client_secret = "hunter2', "is not valid TOML"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(content)
    with pytest.raises(SettingsProblem, match=reason) as caught:
        read_oidc(path)
    assert "hunter2" not in str(caught.value)
