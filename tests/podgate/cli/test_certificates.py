"""`podgate certificate issue` against a real controller."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.client import PREFIX
from podgate.cli import certificates
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import Controller
from tests.podgate.cli.real import Real


@pytest.fixture
def out(run: Run, real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for what is issued; alice calls."""
    run("user", "add", "alice", "--no-password", "--make-pods")
    token = run("token", "create", "here", "--user", "alice", "--json").json()["token"]
    monkeypatch.setenv("PODGATE_TOKEN", token)
    place = tmp_path / "my certificates"
    place.mkdir()
    return place


def test_a_certificate_is_issued_for_a_key_made_here(run: Run, out: Path, home: Path) -> None:
    outcome = run("certificate", "issue", "--out", str(out))
    assert outcome.code == 0
    certificate = x509.load_pem_x509_certificate((out / "alice.pem").read_bytes())
    public = ["openssl", "pkey", "-pubout", "-in", str(out / "alice.key")]
    told = subprocess.run(public, capture_output=True, check=True).stdout
    assert certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == told
    assert f"{PREFIX}alice" in str(certificate.extensions)
    lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert 12 * 3600 <= lasts.total_seconds() <= 13.1 * 3600
    assert stat.S_IMODE((out / "alice.key").stat().st_mode) == 0o600
    assert "PRIVATE" not in outcome.out + outcome.err
    assert "good until" in outcome.err
    subprocess.run(["sh", "-n"], input=outcome.out, text=True, check=True)
    for word in ("curl --cacert", "--cert", "psql", "sslcert=", "sslkey=", "user=alice"):
        assert word in outcome.out


def test_one_that_is_there_is_replaced(run: Run, out: Path) -> None:
    first = run("certificate", "issue", "--out", str(out), "--json").json()
    assert first.keys() == {"certificate", "key", "expires_at"}
    before = Path(first["certificate"]).read_text()
    assert run("certificate", "issue", "--out", str(out), "--hours", "1").code == 0
    assert Path(first["certificate"]).read_text() != before
    assert sorted(path.name for path in out.iterdir()) == ["alice.key", "alice.pem"]


def test_the_commands_name_pods_there_are(run: Run, out: Path) -> None:
    run("pod", "create", "my-db", "--template", "db", "--no-wait")
    told = run("certificate", "issue", "--out", str(out)).out
    assert "host=my-db.pods.localhost hostaddr=127.0.0.1 port=8443 user=alice dbname=my_db" in told
    assert "# a Postgres pod\n" in told
    assert "--resolve my-db--metrics.pods.localhost:8443:127.0.0.1 https://my-db--metrics.pods.localhost:8443/" in told


def test_what_cannot_be_is_told(run: Run, out: Path) -> None:
    for hours in ("0", "25"):
        assert run("certificate", "issue", "--out", str(out), "--hours", hours).code == 2
    assert list(out.iterdir()) == []
    (out / "file").touch()
    for place in (out / "file", out / "file" / "below"):
        outcome = run("certificate", "issue", "--out", str(place))
        assert (outcome.code, outcome.out, "is no directory" in outcome.err) == (2, "", True)


def test_a_directory_that_is_missing_is_made_for_its_user_alone(run: Run, out: Path) -> None:
    assert run("certificate", "issue", "--out", str(out / "new"), "--hours", "24").code == 0
    assert stat.S_IMODE((out / "new").stat().st_mode) == 0o700
    assert sorted(path.name for path in (out / "new").iterdir()) == ["alice.key", "alice.pem"]


def test_a_server_cannot_choose_where_files_go(run: Run, controller: Controller, tmp_path: Path) -> None:
    controller.answers["GET /v1/me"] = [(200, {"user": "../evil", "admin": False, "groups": [], "token": None})]
    outcome = run("certificate", "issue", "--out", str(tmp_path))
    assert outcome.failed_with("the controller calls you '../evil', which is no user's name; check PODGATE_URL")


def test_a_request_is_signed_by_its_own_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.load_pem_x509_csr(certificates.request_for("alice", key).encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=alice"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_a_directory_that_may_not_be_written_is_told(run: Run, out: Path) -> None:
    outcome = run("certificate", "issue", "--out", "/proc")
    assert (outcome.code, outcome.out) == (1, "")
    assert "cannot write to /proc" in outcome.err
