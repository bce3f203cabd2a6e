"""`podgate pod …`: everything that is done to a pod."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from podgate.cli import endpoints
from podgate.cli.client import Client, Document, Refused, Target
from podgate.cli.failure import Failure
from podgate.cli.levels import Access
from podgate.cli.output import EXIT_CODES, Json, answer, answer_json, answer_table, json_text, progress, talk, visible
from podgate.cli.suggestions import Named, suggesting

app = typer.Typer(help="Make, watch, start, stop and remove pods.", no_args_is_help=True)
app.command("access", epilog=EXIT_CODES)(endpoints.access)
app.command("give", epilog=EXIT_CODES)(endpoints.give)

ROTATION_PATIENCE = 60.0  # seconds: the controller waits for gateways and for the database
GLANCE = 2.0  # seconds one waiting call is held open; between two, the spinner learns the phase
TEMPLATES = ("postgres", "graph", "web")  # what a shell proposes; the controller knows what there is

_Answer = TypeVar("_Answer")

Name = Annotated[str, typer.Argument(help="The pod's name.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Return only when it is done, or has failed.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait at most.")]


@app.command(epilog=EXIT_CODES)
def create(
    name: Annotated[str, typer.Argument(help="3 to 40 characters: lower-case letters, digits, single '-'.")],
    template: Annotated[
        str,
        typer.Option(help="Which: postgres, graph, web, jupyter, tcp.", autocompletion=lambda: list(TEMPLATES)),
    ],
    access: Annotated[
        Access, typer.Option(help="The least level a caller needs; change it later with: podgate pod access.")
    ] = Access.OWNER,
    parameter: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A template's parameter.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="An environment variable.")] = None,
    directory: Annotated[Path | None, typer.Option(help="web: the static site to serve.")] = None,
    command: Annotated[str | None, typer.Option(help="web: a command that listens on 127.0.0.1:$PORT.")] = None,
    wait: Wait = True,
    timeout: Timeout = 120,
    as_json: Json = False,
) -> None:
    """Make a pod and, unless told otherwise, wait until every gateway routes to it."""
    target = Target.from_environment()
    parameters = pairs("--parameter", parameter)
    if directory is not None:
        parameters["directory"] = _site(directory, target)
    if command is not None:
        parameters["command"] = command
    body = {
        "name": name,
        "template": template,
        "access": access,
        "parameters": parameters,
        "env": pairs("--env", env),
    }
    client = Client(target)
    pod = client.post("pods", body=body)
    if wait:
        pod = wait_until(client, name, "routed", timeout)
    tell(pod, as_json)


@app.command("list", epilog=EXIT_CODES)
def list_pods(as_json: Json = False) -> None:
    """List the pods."""
    found = Client(Target.from_environment()).get("pods")
    if as_json:
        answer_json(found)
    elif not found["pods"]:
        talk("There are no pods yet; make one: podgate pod create mydb --template postgres")
    else:
        columns = ("NAME", "TEMPLATE", "OWNER", "PHASE", "ACCESS", "ROUTED", "ADDRESS", "MESSAGE")
        answer_table(columns, [_row(pod) for pod in found["pods"]])


@app.command(epilog=EXIT_CODES)
def show(name: Name, as_json: Json = False) -> None:
    """Show a pod with its addresses and credentials."""
    tell(find(Client(Target.from_environment()), name), as_json)


@app.command(epilog=EXIT_CODES)
def start(name: Name, wait: Wait = False, timeout: Timeout = 120, as_json: Json = False) -> None:
    """Start a stopped pod."""
    _ask_for(name, "start", "routed" if wait else "", timeout, as_json)


@app.command(epilog=EXIT_CODES)
def stop(name: Name, wait: Wait = False, timeout: Timeout = 120, as_json: Json = False) -> None:
    """Stop a pod; its data and its address stay."""
    _ask_for(name, "stop", "stopped" if wait else "", timeout, as_json)


@app.command(epilog=EXIT_CODES)
def restart(name: Name, wait: Wait = False, timeout: Timeout = 120, as_json: Json = False) -> None:
    """Stop a pod and start it again."""
    _ask_for(name, "restart", "routed" if wait else "", timeout, as_json)


@app.command(epilog=EXIT_CODES)
def delete(
    name: Name,
    wait: Wait = False,
    timeout: Timeout = 120,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a pod and all of its data."""
    client = Client(Target.from_environment())
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Delete {name} and all of its data?", abort=True, err=True)
    pod = with_suggestion(client, name, lambda: client.delete("pods", name))
    if wait:
        wait_until(client, name, "gone", timeout)
    if as_json:
        answer_json(pod)
    else:
        talk(f"{name} is {'gone' if wait else 'being deleted'}")


@app.command(epilog=EXIT_CODES)
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the pod writes.")] = False,
    tail: Annotated[int, typer.Option(metavar="LINES", min=0, help="How many lines from before.")] = 100,
    as_json: Json = False,
) -> None:
    """Show what a pod wrote; as JSON an object with all lines or, when following, one object for each."""
    client = Client(Target.from_environment())

    def read() -> None:
        with client.lines("pods", name, "logs", tail=tail, follow=str(follow).lower()) as lines:
            if as_json and not follow:
                answer_json({"lines": list(lines)})
                return
            for line in lines:
                typer.echo(json_text({"line": line}) if as_json else line)  # as it was written, colours and all

    with_suggestion(client, name, read)


@app.command(epilog=EXIT_CODES)
def events(name: Name, as_json: Json = False) -> None:
    """Show what happened to a pod, the newest last."""
    client = Client(Target.from_environment())
    found = with_suggestion(client, name, lambda: client.get("pods", name, "events"))
    if as_json:
        answer_json(found)
    else:
        answer_table(("AT", "EVENT", "MESSAGE"), [(e["at"], e["kind"], e["message"]) for e in found["events"]])


def find(client: Client, name: str) -> Document:
    """Ask for a pod by name. Raises Failure, with a guess at what was meant if there is none of that name."""
    return with_suggestion(client, name, lambda: client.get("pods", name))


def with_suggestion(client: Client, name: str, call: Callable[[], _Answer]) -> _Answer:
    """Make a call about a pod; if there is no such pod, tell which names are close."""
    return suggesting(client, call, Named("pod", name))


def wait_until(client: Client, name: str, until: str, timeout: float) -> Document:
    """Wait for a pod to be `routed`, `stopped` or `gone`, showing how it goes. Raises Failure."""
    try:
        return _awaited(client, name, until, timeout)
    except KeyboardInterrupt:
        remove = f"; remove it with: podgate pod delete {name}" if until == "routed" else ""
        talk(f"{name} goes on by itself; look at it with: podgate pod show {name}{remove}")
        raise


def _awaited(client: Client, name: str, until: str, timeout: float) -> Document:
    deadline = time.monotonic() + timeout
    with progress(name) as now:
        while True:
            held = max(0.0, min(GLANCE, deadline - time.monotonic()))
            try:
                return client.get("pods", name, "wait", until=until, timeout=held, extra_time=held)
            except Refused as refused:
                if refused.status == 404 and until == "gone":
                    return {}
                if refused.status == 404:
                    raise Failure(f"{name} was deleted meanwhile") from None
                if refused.status == 409:
                    cure = f"it stays, see: podgate pod logs {name}; remove it with: podgate pod delete {name}"
                    raise Failure(f"{refused}; {cure}") from None
                if refused.status != 504:
                    raise
                now(str(refused))
                if time.monotonic() >= deadline:
                    cure = f"it goes on by itself, see: podgate pod show {name}"
                    raise Failure(f"not {until} after {timeout:g} s: {refused}; {cure}") from None


def _site(directory: Path, target: Target) -> str:
    """Give the path that the controller is to know; one on this machine must be there."""
    path = str(directory.absolute())
    if not target.url and not os.access(f"{path}/", os.F_OK):
        raise typer.BadParameter(f"there is no directory {path}", param_hint="--directory")
    return path


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """Read KEY=VALUE texts; a wrong one is wrong usage."""
    found: dict[str, str] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, got {text!r}", param_hint=option)
        if key in found:
            raise typer.BadParameter(f"{key} is given twice", param_hint=option)
        found[key] = value
    return found


def tell(pod: Document, as_json: bool) -> None:
    """Answer with a pod."""
    if as_json:
        answer_json(pod)
        return
    routed = ", routed" if pod["routed"] else ", not routed"
    message = f": {visible(pod['message'])}" if pod["message"] else ""
    answer(
        f"{pod['name']} ({pod['template']}) is {pod['phase']}{routed if pod['phase'] == 'available' else ''}{message}"
    )
    answer(f"  owned by {pod['owner']}")
    for endpoint in pod["endpoints"]:
        name = f" {endpoint['name']}" if endpoint["name"] else ""
        rules = "".join(f", {rule}" for rule in (f"access {endpoint['access']}", *endpoints.rules_of(endpoint)))
        answer(f"  {endpoint['protocol']}{name}: {endpoint['host']}:{endpoint['port']}{rules}")
    for name, way in (_own_logins(pod) | (pod.get("uris") or {})).items():  # a URI holds its level's user and password
        answer(f"  {name}: {way}")
    access = endpoints.access_of(pod)
    if access == Access.PUBLIC:
        answer(f"  connect with: podgate connect {pod['name']}")
    elif databases := [each for each in pod["endpoints"] if not each["name"] and endpoints.is_database(each)]:
        answer("  user: your Podgate name; password: an API token of yours (podgate token create)")
        answer(f"  connect with: podgate connect {pod['name']}")
        talk(f"It asks for {access}. " + endpoints.way_into_database(pod["name"], databases[0]))
    elif access == Access.OWNER:
        cure = f"podgate pod access {pod['name']} read, then podgate share {pod['name']} --with USER"
        talk(f"Only its owner can connect; to let others in: {cure}")
    else:
        cure = f"podgate share {pod['name']} --with USER --level {access}"
        talk(f"Whoever holds {access} on it can connect; to let others in: {cure}")


def _own_logins(pod: Document) -> dict[str, str]:
    """Give the logins of a pod's own, by level: told to its owner, and only where its endpoint takes them."""
    if any(endpoints.takes_token(each) for each in pod["endpoints"] if not each["name"]):
        return {}
    given = (pod.get("credentials") or {}).items()
    return {level: f"user {each['user']}, password {each['password']}" for level, each in given}


@app.command(epilog=EXIT_CODES)
def rotate(name: Name, as_json: Json = False) -> None:
    """Give a database's own users new passwords while it runs: nobody is thrown out, and no login fails."""
    client = Client(Target.from_environment())
    call = partial(client.post, "pods", name, "rotate", extra_time=ROTATION_PATIENCE)
    pod = with_suggestion(client, name, call)
    if as_json:
        answer_json(pod)
    else:
        talk(f"{name} has new passwords; see: podgate pod show {name}")


def _ask_for(name: str, action: str, until: str, timeout: float, as_json: bool) -> None:
    client = Client(Target.from_environment())
    pod = with_suggestion(client, name, lambda: client.post("pods", name, action))
    if until:
        pod = wait_until(client, name, until, timeout)
    if as_json:
        answer_json(pod)
    else:
        talk(f"{name} is {pod['phase']}")


def _row(pod: Document) -> tuple[object, ...]:
    addresses = " ".join(f"{endpoint['host']}:{endpoint['port']}" for endpoint in pod["endpoints"])
    routed = "yes" if pod["routed"] else "no"
    return (
        pod["name"],
        pod["template"],
        pod["owner"],
        pod["phase"],
        endpoints.access_of(pod),
        routed,
        addresses,
        pod["message"],
    )
