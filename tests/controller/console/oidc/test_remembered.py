"""The provider's keys in a file: what comes back, and what does not."""

import json
import stat
from pathlib import Path

import pytest

from controller.console.oidc.remembered import LARGEST, NAME, recall, remember

ISSUER = "https://id.example.org"
KEYS = ({"kty": "EC", "kid": "1"}, {"kty": "RSA", "kid": "2"})


def test_keys_come_back_for_the_provider_they_are_of(tmp_path: Path) -> None:
    assert recall(tmp_path, ISSUER) == ()
    remember(tmp_path, ISSUER, KEYS)
    assert recall(tmp_path, ISSUER) == KEYS
    assert recall(tmp_path, "https://other.example.org") == ()
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    remember(tmp_path, ISSUER, ())
    assert recall(tmp_path, ISSUER) == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"issuer": 1}', json.dumps({"issuer": ISSUER, "keys": 5}).encode()],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert recall(tmp_path, ISSUER) == ()
    assert "cannot be read" in caplog.text or content.startswith(b'{"issuer": 1')


def test_a_file_of_no_sane_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b" " * (LARGEST + 1))
    assert recall(tmp_path, ISSUER) == ()


def test_a_disk_that_takes_nothing_costs_only_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(tmp_path / "nowhere", ISSUER, KEYS)
    assert "are not kept" in caplog.text
