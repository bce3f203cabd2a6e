"""`podgate ca …`: the certificate authority that clients are to trust."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from podgate.cli.client import Target
from podgate.cli.failure import Failure
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, progress, talk

app = typer.Typer(help="The certificate authority that clients are to trust.", no_args_is_help=True)

SYSTEM_STORE = Path("/usr/local/share/ca-certificates")  # Debian, Ubuntu, Alpine
_UNDO_SYSTEM = f"sudo rm {SYSTEM_STORE}/podgate.crt && sudo update-ca-certificates --fresh"


@app.command("path", epilog=EXIT_CODES)
def show_path(as_json: Json = False) -> None:
    """Print where the authority's certificate is, as sslrootcert and --cacert take it."""
    path = existing()
    if as_json:
        answer_json({"path": str(path)})
    else:
        answer(str(path))


@app.command(epilog=EXIT_CODES)
def show(as_json: Json = False) -> None:
    """Show the authority's certificate: name, fingerprint, validity, and the PEM itself."""
    path = existing()
    pem = _read(path)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise Failure(f"{path} holds no certificate; restore it from a backup") from None
    facts = {
        "path": str(path),
        "subject": certificate.subject.rfc4514_string(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "pem": pem.decode(),
    }
    if as_json:
        answer_json(facts)
    else:
        for name, fact in facts.items():
            answer(fact if name == "pem" else f"{name}: {fact}")


@app.command(epilog=EXIT_CODES)
def trust(
    yes: Annotated[bool, typer.Option("--yes", help="Do it for the system's store (root, Debian's way).")] = False,
    as_json: Json = False,
) -> None:
    """Tell how to make programs trust the authority; with --yes do it for the system's store."""
    path = existing()
    found = ways(path)
    if yes:
        _trust_in_system(path)
    if as_json:
        commands = {purpose: do for purpose, (do, _) in found.items()}
        undoing = {purpose: undo for purpose, (_, undo) in found.items()}
        answer_json({"path": str(path), "trusted": yes, "commands": commands, "undo": undoing})
    elif yes:
        talk("the system trusts the authority now: curl, Python, git and others; browsers have stores of their own")
        talk(f"undo it with: {_UNDO_SYSTEM}")
    else:
        talk("Whoever trusts this authority believes every certificate its key signs; the key stays in Podgate's home.")
        for purpose, (do, undo) in found.items():
            answer(f"# {purpose}\n{do}\n# undo: {undo}")


def existing() -> Path:
    """Give the path of the authority's certificate. Raises Failure if there is none yet."""
    target = Target.from_environment()
    if not target.ca.exists():
        cure = "start Podgate once (podgate serve), or set PODGATE_CA or PODGATE_HOME"
        raise Failure(f"there is no certificate authority at {target.ca}; {cure}")
    return target.ca


def ways(path: Path) -> dict[str, tuple[str, str]]:
    """Give the shell commands that make programs trust the certificate, each with what undoes it, by their purpose."""
    quoted = shlex.quote(str(path))
    return {
        "the system's store (curl, git, Python on Debian and Ubuntu)": (
            f"sudo cp {quoted} {SYSTEM_STORE}/podgate.crt && sudo update-ca-certificates",
            _UNDO_SYSTEM,
        ),
        "the system's store (Fedora, RHEL)": (
            f"sudo trust anchor --store {quoted}",
            f"sudo trust anchor --remove {quoted}",
        ),
        "the system's store (macOS)": (
            f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {quoted}",
            f"sudo security remove-trusted-cert -d {quoted}",
        ),
        "Chromium and Chrome on Linux (certutil is in libnss3-tools)": (
            f'mkdir -p "$HOME/.pki/nssdb" && certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n podgate -i {quoted}',
            'certutil -d sql:"$HOME/.pki/nssdb" -D -n podgate',
        ),
        "OpenSSL and Python programs of this shell, instead of the system's store": (
            f"export SSL_CERT_FILE={quoted}",
            "unset SSL_CERT_FILE",
        ),
        "Node.js programs of this shell": (f"export NODE_EXTRA_CA_CERTS={quoted}", "unset NODE_EXTRA_CA_CERTS"),
        "psql and all of libpq in this shell": (
            f"export PGSSLROOTCERT={quoted} PGSSLMODE=verify-full",
            "unset PGSSLROOTCERT PGSSLMODE",
        ),
    }


def _trust_in_system(path: Path) -> None:
    update = shutil.which("update-ca-certificates")
    if update is None or os.geteuid() != 0:
        why = "only root may" if update else "there is no update-ca-certificates"
        raise Failure(f"cannot change the system's store here, {why}; see the commands of: podgate ca trust")
    try:
        shutil.copyfile(path, SYSTEM_STORE / "podgate.crt")
    except OSError as error:
        raise Failure(f"cannot write to {SYSTEM_STORE}: {error.strerror}; see: podgate ca trust") from None
    with progress("updating the system's certificate store"):
        outcome = subprocess.run([update], capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise Failure(f"{update} failed: {outcome.stderr.strip()}; see: podgate ca trust")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}; run this as the user who runs Podgate") from None
