"""`podgate connect`: the fitting client for a pod, opened, or as a command line that works as it stands."""

import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import typer

from podgate.cli.client import LOCAL_ADDRESS, Client, Target, is_local
from podgate.cli.endpoints import is_database, takes_token, way_into_database
from podgate.cli.failure import Failure
from podgate.cli.levels import Access
from podgate.cli.output import Json, answer, answer_json, talk
from podgate.cli.pods import find, wait_until

BORROWED = 24 * 3600  # seconds that a token made for one client lasts at the most
_WHERE_TOKENS_GO = {
    "postgres": "psql), which psql takes from PGPASSWORD or ~/.pgpass",
    "bolt": "cypher), which the prompt takes from NEO4J_PASSWORD",
}
_PASSWORD = {"postgres": "PGPASSWORD", "bolt": "NEO4J_PASSWORD"}  # the variable that holds it
START_PATIENCE = 60.0  # seconds that a pod on its way is waited for


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open a pod: a program with its arguments, and its secrets as environment, never as arguments."""

    arguments: tuple[str, ...]
    uri: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shell(self) -> str:
        """The one line that does the same in a shell."""
        assignments = [f"{name}={shlex.quote(value)}" for name, value in self.secrets.items()]
        return " ".join([*assignments, shlex.join(self.arguments)])


def connect(
    name: Annotated[str, typer.Argument(help="The pod's name.")],
    role: Annotated[
        str, typer.Option("--as", help="Whose credentials to use where it takes no token: owner, write, read.")
    ] = "owner",
    print_: Annotated[bool, typer.Option("--print", help="Print the command line instead, with its password.")] = False,
    as_json: Json = False,
) -> None:
    """Open the fitting client for a pod: psql, a Cypher prompt, the browser."""
    target = Target.from_environment()
    client = Client(target)
    pod = find(client, name)
    by_token = takes_token(_endpoint(pod))
    opening = opening_of(pod, role, target.ca, str(client.get("me")["user"]) if by_token else "")
    if as_json:
        secrets = dict(opening.secrets)
        answer_json({"uri": opening.uri, "arguments": opening.arguments, "env": secrets, "shell": opening.shell})
    elif print_:
        if not pod["routed"]:
            talk(f"{name} is {pod['phase']}; the command works when it is available, see: podgate pod show {name}")
        _tell_what_it_takes(pod, opening)
        answer(opening.shell)
    else:
        _see_routed(client, pod)
        if by_token:
            variable = _PASSWORD[_protocol(pod)]
            with _password(client, target, name, variable) as password:
                code = execute(replace(opening, secrets={variable: password}))
            raise typer.Exit(code)
        if is_database(_endpoint(pod)):
            _tell_what_it_takes(pod, opening)
        raise typer.Exit(_browse(opening) if _protocol(pod) == "http" else execute(opening))


@contextmanager
def _password(client: Client, target: Target, pod: str, variable: str) -> Iterator[str]:
    """Give what the client that is opened is to show: what `variable` says, our own token, or, for admin.token is no
    user's, one that is made for this pod and taken back when the client has ended.
    """
    held = target.credential()
    if given := os.environ.get(variable):
        yield given
    elif held.source != str(target.home / "admin.token"):
        yield held.token
    else:
        name = f"podgate connect {secrets.token_hex(4)}"
        token = client.post("tokens", body={"name": name, "pod": pod, "expires_in": BORROWED})["token"]
        try:
            yield token
        finally:
            client.delete("tokens", name)


def _tell_what_it_takes(pod: Mapping[str, Any], opening: Opening) -> None:
    """Say what an endpoint that is not public takes beside the command."""
    endpoint = _endpoint(pod)
    if endpoint["access"] == Access.PUBLIC:
        return
    if takes_token(endpoint):
        talk(
            f"{pod['name']} asks for {endpoint['access']}; the password is an API token (podgate token create "
            f"{_WHERE_TOKENS_GO[endpoint['protocol']]}, or asks for"
        )
    elif is_database(endpoint):
        talk(way_into_database(pod["name"], endpoint))
    elif endpoint["protocol"] == "http":
        talk(
            f"{pod['name']} asks for {endpoint['access']}: add -H @FILE, a file with 'Authorization: Bearer TOKEN' "
            f"(podgate token create); a browser opens {opening.uri} and signs in"
        )


def _see_routed(client: Client, pod: Mapping[str, Any]) -> None:
    """Wait for a pod that is on its way. Raises Failure, also if it is on none."""
    name = pod["name"]
    if pod["phase"] == "failed":
        raise Failure(f"{name} failed: {pod['message']}; see: podgate pod logs {name}")
    if pod["want"] == "off":
        raise Failure(f"{name} is {pod['phase']}; start it: podgate pod start {name} --wait")
    if not pod["routed"]:
        wait_until(client, name, "routed", START_PATIENCE)


def _browse(opening: Opening) -> int:
    answer(opening.uri)
    if not webbrowser.open(opening.uri):
        talk("no browser could be opened here; open the address yourself")
    return 0


def execute(opening: Opening) -> int:
    """Run the client program on our terminal and give its exit code."""
    program = opening.arguments[0]
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is the client's: it cancels a query
    try:
        code = subprocess.call(opening.arguments, env={**os.environ, **opening.secrets})
    except OSError as error:
        raise Failure(f"cannot run {program}: {error.strerror}; install it, or see: podgate pod show") from None
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def opening_of(pod: Mapping[str, Any], role: str, ca: Path, user: str = "") -> Opening:
    """Decide how to open a pod, as `user` where it takes tokens and as its own `role` elsewhere, trusting the authority
    at `ca`. Raises Failure.
    """
    make = {"postgres": _postgres, "bolt": _bolt, "http": _http, "tcp": _tcp}.get(_protocol(pod))
    if make is None:
        raise Failure(f"{pod['name']} speaks {_protocol(pod) or 'nothing'}, which this podgate cannot open; upgrade it")
    if not takes_token(_endpoint(pod)):
        return make(pod, role, ca)
    return _prompt(pod, user, ca) if _protocol(pod) == "bolt" else _by_token(pod, user, ca)


def _by_token(pod: Mapping[str, Any], user: str, ca: Path) -> Opening:
    endpoint = _endpoint(pod)
    host, port = _address(pod)
    facts = {
        "host": host,
        "hostaddr": LOCAL_ADDRESS if is_local(host) else "",
        "port": str(port),
        "user": user,
        "dbname": str(endpoint.get("database") or ""),
        "sslmode": "verify-full",
        "sslrootcert": str(ca),
    }
    uri = (pod.get("uris") or {}).get(
        "postgres"
    ) or f"postgresql://{quote(user)}@{host}:{port}/{quote(facts['dbname'])}"
    return Opening((_psql(), conninfo(facts)), uri)


def _postgres(pod: Mapping[str, Any], role: str, ca: Path) -> Opening:
    credential = _credential(pod, role)
    uri = pod["uris"][role]
    parts = urlsplit(uri)
    options = {key: values[0] for key, values in parse_qs(parts.query).items()}
    host, port = _address(pod)
    hostaddr = options.get("hostaddr") or (LOCAL_ADDRESS if is_local(host) else "")
    facts = {
        "host": host,
        "hostaddr": hostaddr,
        "port": str(port),
        "user": credential["user"],
        "dbname": unquote(parts.path.lstrip("/")),
        "sslmode": "verify-full",
        "sslrootcert": str(ca),
    }
    return Opening((_psql(), conninfo(facts)), uri, {"PGPASSWORD": credential["password"]})


def _bolt(pod: Mapping[str, Any], role: str, ca: Path) -> Opening:
    credential = _credential(pod, role)
    return replace(_prompt(pod, credential["user"], ca), secrets={"NEO4J_PASSWORD": credential["password"]})


def _prompt(pod: Mapping[str, Any], user: str, ca: Path) -> Opening:
    # cypher-shell trusts only Java's own store and asks a resolver for *.localhost, so ours is the one that works.
    host, port = _address(pod)
    uri = f"bolt+s://{host}:{port}"
    return Opening((*_podgate(), "cypher", uri, "--user", user, "--ca", str(ca)), uri)


def _http(pod: Mapping[str, Any], role: str, ca: Path) -> Opening:
    host, port = _address(pod)
    uri = f"https://{host}/" if port == 443 else f"https://{host}:{port}/"
    resolve = ("--resolve", f"{host}:{port}:{LOCAL_ADDRESS}") if is_local(host) else ()
    return Opening(("curl", "--cacert", str(ca), *resolve, uri), uri)


def _tcp(pod: Mapping[str, Any], role: str, ca: Path) -> Opening:
    host, port = _address(pod)
    reached = LOCAL_ADDRESS if is_local(host) else host
    verified = ("-verify_return_error", "-verify_hostname", host, "-CAfile", str(ca))
    arguments = ("openssl", "s_client", "-quiet", "-connect", f"{reached}:{port}", "-servername", host, *verified)
    return Opening(arguments, f"{host}:{port}")


def _protocol(pod: Mapping[str, Any]) -> str:
    return str(_endpoint(pod)["protocol"])


def _endpoint(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Give the default endpoint, or the first if none is the default."""
    endpoints = sorted(pod["endpoints"], key=lambda endpoint: endpoint["name"] != "")
    if not endpoints:
        raise Failure(f"{pod['name']} has no endpoint to connect to; see: podgate pod show {pod['name']}")
    first: dict[str, Any] = endpoints[0]
    return first


def _address(pod: Mapping[str, Any]) -> tuple[str, int]:
    endpoint = _endpoint(pod)
    return str(endpoint["host"]), int(endpoint["port"])


def _credential(pod: Mapping[str, Any], role: str) -> Mapping[str, str]:
    credentials: Mapping[str, Mapping[str, str]] | None = pod.get("credentials")
    if credentials is None:  # they are told to its owner alone
        cure = f"ask {pod['owner']} for a user and password of it"
        raise Failure(f"only {pod['owner']} may see the credentials of {pod['name']}; {cure}")
    if role not in credentials:
        raise Failure(f"{pod['name']} has no credentials for {role}; use --as {' or '.join(credentials) or 'none'}")
    return credentials[role]


def conninfo(facts: Mapping[str, str]) -> str:
    """Write a libpq connection string (PostgreSQL documentation, 32.1.1.1) of what is told."""
    return " ".join(f"{name}={_conninfo_value(value)}" for name, value in facts.items() if value)


def _conninfo_value(value: str) -> str:
    if re.fullmatch(r"[^\s'\\]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _psql() -> str:
    """Give the system's psql; the one that comes with the pods' PostgreSQL speaks no TLS."""
    if shutil.which("psql"):
        return "psql"
    raise Failure("there is no psql here; install it (postgresql-client) or use the address of: podgate pod show")


def _podgate() -> tuple[str, ...]:
    return ("podgate",) if shutil.which("podgate") else (sys.executable, "-m", "podgate")
