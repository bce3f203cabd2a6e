"""Podgate itself: a gateway fed by a routes file, one worker unless told otherwise. Its supervisor counts too."""

import base64
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

from bench.peers.peer import HOST, Job, Mode, Peer
from bench.peers.pgbouncer import PASSWORD, ROLE
from controller.tokens import hash_of, verifier_of
from gateway.web.cookies import SESSION
from podgate import __version__
from router.sealing import Session, seal

SESSION_KEY = b"the key of a benchmark, no secret"
USER = "alice"
_KEY_ID = "bench"


def session_cookie(seconds: float) -> str:
    """Make the Cookie field's value of a signed-in user, good for so many seconds."""
    now = time.time()
    session = Session(HOST, "bench", now, now + seconds, user=USER)
    return f"{SESSION}={seal(session, _KEY_ID, SESSION_KEY)}"


def files(job: Job) -> Mapping[str, str]:
    """Give the routes file; of HTTP an endpoint that is not public, so that each request's cookie is checked."""
    route = (
        f'[[route]]\nhost = "{HOST}"\nprotocol = "{job.mode}"\nupstreams = ["127.0.0.1:{job.upstream}"]\n'
        f'access = "{"read" if job.mode is Mode.HTTP else "public"}"\ngrants = {{ "user:{USER}" = "read" }}\n'
        f'[[user]]\nname = "{USER}"\n'
        f'[[key]]\nid = "{_KEY_ID}"\nsecret = "{base64.b64encode(SESSION_KEY).decode()}"\n'
    )
    return {"routes.toml": route}


def arguments(job: Job) -> list[str]:
    """Give the command line after the interpreter."""
    return [
        "-P", "-m", "podgate", "gateway", "--listen", f"127.0.0.1:{job.port}",
        "--workers", str(job.workers), "--drain", "0",
        "--routes", str(job.directory / "routes.toml"), "--home", str(job.directory / "home"),
        "--certificate", str(job.certificate), "--key", str(job.key),
    ]  # fmt: skip


PODGATE = Peer(
    name="podgate",
    label="Podgate",
    program=sys.executable,
    advice="it is what runs this",
    modes=frozenset(Mode),
    files=files,
    arguments=arguments,
    version=lambda _program: __version__,
)


def token_files(job: Job) -> Mapping[str, str]:
    """Give the routes file of a database that is not public: clients log in with the gateway by a token, which has the
    text of the role's password so that they need not know, and the gateway with the database by that role.
    """
    verifier = verifier_of(PASSWORD, b"a benchmark's salt")
    route = (
        f'[[route]]\nhost = "{HOST}"\nprotocol = "{job.mode}"\nupstreams = ["127.0.0.1:{job.upstream}"]\n'
        f'access = "read"\ngrants = {{ "user:{ROLE}" = "read" }}\n'
        f'[route.database.logins]\nread = [{{ user = "{ROLE}", password = "{PASSWORD}" }}]\n'
        f'[[user]]\nname = "{ROLE}"\n'
        f'[[token]]\nid = "bench"\nuser = "{ROLE}"\nmost = "read"\nhash = "{hash_of(PASSWORD)}"\n'
        f'verifier = "{verifier}"\n'
    )
    return {"routes.toml": route}


_AGAIN = replace(PODGATE, version=lambda _program: "")  # in another manner: its version need not be told twice
_POSTGRES = frozenset({Mode.POSTGRES})

PODGATE_TOKEN = replace(_AGAIN, name="podgate-token", label="Podgate, by token", modes=_POSTGRES, files=token_files)
PODGATE_DIRECT = replace(_AGAIN, name="podgate-direct", label="Podgate, direct TLS", modes=_POSTGRES, direct_tls=True)

EARLY_DROP = "10:30:100"  # sshd's own, as in the SSH study
PODGATE_DROP = replace(
    _AGAIN,
    name="podgate-drop",
    label="Podgate, early drop",
    arguments=lambda job: [*arguments(job), "--early-drop", EARLY_DROP],
)

PODGATE_2 = replace(
    _AGAIN,
    name="podgate-2",
    label="Podgate, 2 workers",
    arguments=lambda job: arguments(replace(job, workers=2)),
)
