"""`podgate user …` and `podgate group …`: who there is."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Target
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, answer_table, report, talk
from podgate.cli.passwords import PasswordFile, read_password, read_secret
from podgate.cli.suggestions import Named, suggesting

users = typer.Typer(help="Add, see, change and remove people.", no_args_is_help=True)
groups = typer.Typer(help="Groups of people, to share with all of them at once.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
Members = Annotated[list[str], typer.Argument(metavar="USER...", help="Users' names.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@users.command("list", epilog=EXIT_CODES)
def list_users(as_json: Json = False) -> None:
    """List the users."""
    found = _client().get("users")
    if as_json:
        answer_json(found)
    else:
        answer_table(
            ("NAME", "ADMIN", "MAKES-PODS", "STATE", "EMAIL", "GROUPS"), [_row(user) for user in found["users"]]
        )


@users.command("add", epilog=EXIT_CODES)
def add_user(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and '.', '_', '-' within.")],
    admin: Annotated[bool, typer.Option("--admin", help="May do everything to everything.")] = False,
    make_pods: Annotated[
        bool, typer.Option("--make-pods", help="May make pods, and by that run programs on Podgate's machine.")
    ] = False,
    email: Annotated[str | None, typer.Option(help="An address, for people to see.")] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Let them in by other means only.")] = False,
    as_json: Json = False,
) -> None:
    """Add a user; the password is asked for, or read from a file or standard input."""
    if no_password and password_file is not None:
        raise typer.BadParameter("give a password or none, not both", param_hint="--no-password")
    client = _client()
    body: Document = {"name": name, "admin": admin, "makes_pods": make_pods}
    if not no_password:
        body["password"] = read_password(f"Password of {name}", password_file, new=True)
    if email is not None:
        body["email"] = email
    made = client.post("users", body=body)
    report(made, f"{name} is added; they sign in with: podgate login {name}", as_json)


@users.command("show", epilog=EXIT_CODES)
def show_user(name: User, as_json: Json = False) -> None:
    """Show a user."""
    client = _client()
    found = suggesting(client, lambda: client.get("users", name), Named("user", name))
    if as_json:
        answer_json(found)
        return
    for field, fact in found.items():
        told = {True: "yes", False: "no", None: ""}.get(fact, fact) if not isinstance(fact, list) else ", ".join(fact)
        answer(f"{field + ' ':12}{told}".rstrip())


@users.command("remove", epilog=EXIT_CODES)
def remove_user(name: User, yes: Yes = False, as_json: Json = False) -> None:
    """Remove a user, their logins, tokens and what was shared with them."""
    client = _client()
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Remove {name} with all their tokens?", abort=True, err=True)
    found = suggesting(client, lambda: client.delete("users", name), Named("user", name))
    report(found or {"name": name}, f"{name} is removed", as_json)


@users.command(epilog=EXIT_CODES)
def disable(name: User, as_json: Json = False) -> None:
    """Let a user in nowhere until they are enabled again; what they have stays."""
    report(_change(name, disabled=True), f"{name} is disabled: nothing lets them in any more", as_json)


@users.command(epilog=EXIT_CODES)
def enable(name: User, as_json: Json = False) -> None:
    """Let a disabled user in again."""
    report(_change(name, disabled=False), f"{name} is enabled", as_json)


@users.command(epilog=EXIT_CODES)
def allow(
    name: User,
    make_pods: Annotated[
        bool,
        typer.Option(
            "--make-pods/--no-make-pods",
            help="Make pods, and by that run programs on Podgate's machine; administrators always may.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say what a user may do beside what is shared with them."""
    changed = _change(name, makes_pods=make_pods)
    sentence = f"{name} may make pods" if make_pods else f"{name} may make no pods any more; those there are stay"
    if not make_pods and changed["makes_pods"]:
        sentence = f"{name} may still make pods, for administrators always may"
    report(changed, sentence, as_json)


@users.command(epilog=EXIT_CODES)
def password(
    name: User,
    password_file: PasswordFile = None,
    current_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read your present password from this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Set a password: your own, with the present one, or as an administrator anybody's."""
    client = _client()
    me = client.get("me")
    body: Document = {}
    if current_file is not None:
        body["current"] = read_secret(current_file, "password")
    elif me["user"] == name and not me["admin"] and sys.stdin.isatty():
        body["current"] = read_password("Present password", None)
    body["password"] = read_password(f"New password of {name}", password_file, new=True)
    found = suggesting(client, lambda: client.patch("users", name, body=body), Named("user", name))
    report(found or {"name": name}, f"{name} has a new password", as_json)


@users.command("sign-out", epilog=EXIT_CODES)
def sign_out(name: User, as_json: Json = False) -> None:
    """End everything a user is signed in with: logins, browsers and certificates."""
    client = _client()
    found = suggesting(client, lambda: client.post("users", name, "sign-out"), Named("user", name))
    report(
        found or {"name": name},
        f"{name} is signed out in every browser; their tokens stay: podgate token list --user {name}",
        as_json,
    )


@groups.command("list", epilog=EXIT_CODES)
def list_groups(as_json: Json = False) -> None:
    """List the groups and who is in them."""
    found = _client().get("groups")
    if as_json:
        answer_json(found)
    elif not found["groups"]:
        talk("There are no groups yet; make one: podgate group add lab")
    else:
        rows = [(group["name"], ", ".join(group["members"])) for group in found["groups"]]
        answer_table(("NAME", "MEMBERS"), rows)


@groups.command("add", epilog=EXIT_CODES)
def add_group(
    name: Annotated[str, typer.Argument(metavar="GROUP", help="Lower-case letters, digits and '.', '_', '-' within.")],
    as_json: Json = False,
) -> None:
    """Add a group with nobody in it."""
    made = _client().post("groups", body={"name": name})
    report(made, f"{name} is added; fill it with: podgate group join {name} USER", as_json)


@groups.command("remove", epilog=EXIT_CODES)
def remove_group(name: Group, yes: Yes = False, as_json: Json = False) -> None:
    """Remove a group and what was shared with it; its members stay."""
    client = _client()
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Remove the group {name} and what is shared with it?", abort=True, err=True)
    found = suggesting(client, lambda: client.delete("groups", name), Named("group", name))
    report(found or {"name": name}, f"{name} is removed", as_json)


@groups.command(epilog=EXIT_CODES)
def join(name: Group, members: Members, as_json: Json = False) -> None:
    """Put users into a group; those who are in it already stay."""
    client = _client()
    for user in members:
        suggesting(
            client, partial(client.put, "groups", name, "members", user),
            Named("group", name), Named("user", user),
        )  # fmt: skip
    report({"name": name, "joined": members}, f"{', '.join(members)} joined {name}", as_json)


@groups.command(epilog=EXIT_CODES)
def leave(name: Group, members: Members, as_json: Json = False) -> None:
    """Take users out of a group; if one of them is not in it, all stay."""
    client = _client()
    there = suggesting(client, lambda: client.get("groups", name), Named("group", name))["members"]
    for user in sorted(members, key=lambda user: user in there):  # who is not in it comes first, and is refused
        suggesting(
            client, partial(client.delete, "groups", name, "members", user),
            Named("group", name), Named("user", user),
        )  # fmt: skip
    report({"name": name, "left": members}, f"{', '.join(members)} left {name}", as_json)


def _client() -> Client:
    return Client(Target.from_environment())


def _change(name: str, **changes: object) -> Document:
    client = _client()
    changed = suggesting(client, lambda: client.patch("users", name, body=changes), Named("user", name))
    return changed or {"name": name, **changes}


def _row(user: Document) -> tuple[object, ...]:
    state = "disabled" if user.get("disabled") else ""
    return (
        user["name"],
        "yes" if user["admin"] else "",
        "yes" if user.get("makes_pods") else "",
        state,
        user.get("email") or "",
        ", ".join(user.get("groups", ())),
    )
