"""`podgate certificate issue`: a client certificate, whose key never leaves this machine."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from podgate.cli.client import LOCAL_ADDRESS, Client, Document, Target, is_local
from podgate.cli.connect import conninfo
from podgate.cli.failure import Failure
from podgate.cli.logins import write_private
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, talk
from podgate.cli.sharing import web_address
from router.credentials import InvalidCredential, check_person_name

app = typer.Typer(help="Client certificates, which prove to pods who you are.", no_args_is_help=True)


@app.command(epilog=EXIT_CODES)
def issue(
    hours: Annotated[int, typer.Option(min=1, max=24, help="How long it is to be good: 1 to 24.")] = 12,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to write USER.pem and USER.key; made if missing.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Make a key here, have a certificate issued for it, and tell how curl and psql use them."""
    target = Target.from_environment()
    client = Client(target)
    user = _file_name(client.get("me")["user"])
    _make_directory(out)
    key = ec.generate_private_key(ec.SECP256R1())
    made = client.post("certificates", body={"csr": request_for(user, key), "hours": hours})
    paths = out.absolute() / f"{user}.pem", out.absolute() / f"{user}.key"
    _write(paths, str(made["certificate"]), key)
    if as_json:
        answer_json({"certificate": str(paths[0]), "key": str(paths[1]), "expires_at": made["expires_at"]})
        return
    talk(f"{paths[0]} and {paths[1]} are good until {made['expires_at']}, or until you are signed out.")
    talk("An endpoint must ask for certificates: podgate pod access POD --client-certificates")
    pods = client.get("pods")["pods"]
    for comment, command in usage(pods, user, target.ca, *paths):
        answer(f"# {comment}\n{command}")


def request_for(user: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Make a signing request (RFC 2986) in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode("ascii")


def usage(pods: list[Document], user: str, ca: Path, certificate: Path, key: Path) -> list[tuple[str, str]]:
    """Give command lines for a web and a Postgres pod, as `user`; placeholders stand in where there is none."""
    web = _first(pods, "http") or {"host": "POD.DOMAIN", "port": 443}
    database = _first(pods, "postgres") or {"host": "POD.DOMAIN", "port": 443, "database": "DATABASE"}
    host, port = web["host"], web["port"]
    resolve = ("--resolve", f"{host}:{port}:{LOCAL_ADDRESS}") if is_local(host) else ()
    curl = ("curl", "--cacert", str(ca), "--cert", str(certificate), "--key", str(key), *resolve, web_address(web))
    facts = {
        "host": database["host"],
        "hostaddr": LOCAL_ADDRESS if is_local(database["host"]) else "",
        "port": str(database["port"]),
        "user": user,
        "dbname": str(database.get("database") or ""),
        "sslmode": "verify-full",
        "sslrootcert": str(ca),
        "sslcert": str(certificate),
        "sslkey": str(key),
    }
    return [("a web pod", shlex.join(curl)), ("a Postgres pod", shlex.join(("psql", conninfo(facts))))]


def _first(pods: list[Document], protocol: str) -> Document | None:
    return next((each for pod in pods for each in pod["endpoints"] if each["protocol"] == protocol), None)


def _file_name(user: object) -> str:
    """Check what is to name files: a server that is not ours might say anything."""
    try:
        return check_person_name(str(user))
    except InvalidCredential:
        raise Failure(f"the controller calls you {user!r}, which is no user's name; check PODGATE_URL") from None


def _make_directory(out: Path) -> None:
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise typer.BadParameter(f"{out.absolute()} is no directory", param_hint="--out") from None
    except OSError as error:
        raise Failure(f"cannot make {out.absolute()}: {error.strerror}; name another directory: --out") from None


def _write(paths: tuple[Path, Path], certificate: str, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    try:
        write_private(paths[1], pem)
        write_private(paths[0], certificate)
    except OSError as error:
        raise Failure(f"cannot write to {paths[0].parent}: {error.strerror}; name another directory: --out") from None
