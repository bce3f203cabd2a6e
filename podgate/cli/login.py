"""`podgate login`, `logout` and `whoami`: who calls, and with what."""

import os
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Refused, Target
from podgate.cli.failure import Failure
from podgate.cli.logins import Credential, Login, forget_login, keep_login, path_of, read_login
from podgate.cli.output import Json, answer, answer_json, report, talk
from podgate.cli.passwords import PasswordFile, first_line, read_password

NOBODY = Credential()
ENDED_ALREADY = frozenset({401, 404})  # what the server answers of a token that it does not know any more


def login(
    user: Annotated[str | None, typer.Argument(help="Who you are.")] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="https://api.DOMAIN of a Podgate elsewhere; $PODGATE_URL if left out."),
    ] = None,
    password_file: PasswordFile = None,
    token: Annotated[
        bool, typer.Option("--token", help="Keep a token you have, read from standard input, instead of a password.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign in: later commands call as you, until you sign out or the login expires."""
    target = _target(url)
    if token and password_file is not None:
        raise typer.BadParameter("give a token or a password, not both", param_hint="--token")
    made = _with_token(target, user) if token else _with_password(target, _user(target, user), password_file)
    before = read_login(target.where)
    path = keep_login(target.where, made)
    if before is not None and not before.pasted and before.id:
        with suppress(Failure):  # best effort: it has an end of its own
            Client(target, before.credential).delete("tokens", before.id)
    report(
        {"user": made.user, "at": target.where, "expires_at": made.expires_at, "path": str(path)},
        f"you are {made.user} at {target.where}{_until(made.expires_at)}",
        as_json,
    )
    if not as_json:
        _warn_of_others(target)


def logout(as_json: Json = False) -> None:
    """Sign out: end the login's token at the server, then forget it."""
    target = Target.from_environment()
    kept = read_login(target.where)
    if kept is None:
        raise Failure(f"you are not signed in at {target.where}; sign in with: podgate login")
    remark = "" if kept.id else "; its token goes on: the server knows it by no name"
    try:
        if kept.id:
            Client(target, kept.credential).delete("tokens", kept.id)
    except Refused as refused:
        if refused.status not in ENDED_ALREADY:
            raise _kept(refused, target) from None
        remark = "; the server did not know the token any more"
    except Failure as failure:
        raise _kept(failure, target) from None
    forget_login(target.where)
    report({"user": kept.user, "at": target.where}, f"{kept.user} is signed out of {target.where}{remark}", as_json)


def whoami(as_json: Json = False) -> None:
    """Tell who you are to Podgate, by what, and where."""
    client = Client(Target.from_environment())
    found = client.get("me")
    if as_json:
        answer_json(found)
        return
    answer(f"user      {found['user']}{', an administrator' if found['admin'] else ''}")
    answer(f"groups    {', '.join(found['groups']) or 'none'}")
    answer(f"pods      {'may make them' if found.get('makes_pods') else 'may make none'}")
    answer(f"at        {client.target.where}")
    answer(f"by        {client.credential.source}{_limits(found.get('token'))}")


def _target(url: str | None) -> Target:
    """Give the Podgate to sign in at: the one of `url`, else of the environment."""
    if url is None:
        return Target.from_environment()
    if not url.startswith("https://"):
        raise typer.BadParameter(f"expected https://api.DOMAIN, got {url!r}", param_hint="--url")
    return replace(Target.from_environment(), url=url.rstrip("/"))


def _user(target: Target, given: str | None) -> str:
    if given:
        return given
    if not sys.stdin.isatty():
        raise typer.BadParameter("standard input is no terminal to ask at; name yourself", param_hint="USER")
    kept = read_login(target.where)
    return str(typer.prompt("User", default=kept.user if kept else None, err=True))


def _with_password(target: Target, user: str, file: Path | None) -> Login:
    password = read_password(f"Password of {user}", file)
    body = {"user": user, "password": password, "name": f"login-{socket.gethostname()}"[:64]}
    made = Client(target, NOBODY).post("login", body=body)
    return Login(made["user"], made["token"], made["id"], made.get("expires_at"))


def _with_token(target: Target, user: str | None) -> Login:
    """Keep a token that is there already, once the server knows it."""
    if sys.stdin.isatty():
        talk("Paste the token, then press Enter; it is not shown.")
    secret = _pasted()
    credential = Credential(secret, "standard input", "the controller does not know this token; copy all of it")
    found = Client(target, credential).get("me")
    if user and found["user"] != user:
        raise Failure(f"the token is {found['user']}'s, not {user}'s; give the right one, or leave out the name")
    facts: Document = found.get("token") or {}
    return Login(
        found["user"], secret, str(facts.get("id") or facts.get("name") or ""), facts.get("expires_at"), pasted=True
    )


def _pasted() -> str:
    if sys.stdin.isatty():
        return read_password("Token", None).strip()
    return first_line(sys.stdin, "standard input", "token").strip()


def _kept(failure: Failure, target: Target) -> Failure:
    """Say that a token that could not be ended is kept: forgotten, nobody could end it any more."""
    return Failure(f"{failure}; still signed in, try again, or only forget it: rm {path_of(target.where)}")


def _warn_of_others(target: Target) -> None:
    """Say what keeps the login from being used by the commands to come."""
    if os.environ.get("PODGATE_TOKEN"):
        talk("PODGATE_TOKEN is set and goes first; to use the login: unset PODGATE_TOKEN")
    if target.url != os.environ.get("PODGATE_URL", "").rstrip("/"):
        talk(f"let later commands go there, too: export PODGATE_URL={target.url}")


def _limits(token: Document | None) -> str:
    if not token:
        return ""
    limits = [
        f"only {token['pod']}" if token.get("pod") else "",
        f"at most {token['level']}" if token.get("level") not in (None, "owner") else "",
    ]
    told = "".join(f", {limit}" for limit in limits if limit)
    return f" (token {token['name']}{told}){_until(token.get('expires_at'))}"


def _until(expires_at: str | None) -> str:
    return f", until {expires_at}" if expires_at else ""
