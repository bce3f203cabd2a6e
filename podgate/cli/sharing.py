"""`podgate share` and `podgate unshare`: who holds what on a pod."""

from pathlib import Path
from typing import Annotated

import httpx
import typer

from podgate.cli import endpoints
from podgate.cli.client import Client, Document, Refused, Target
from podgate.cli.failure import Failure
from podgate.cli.levels import Access, Grant
from podgate.cli.measures import duration
from podgate.cli.output import Json, answer, answer_json, answer_table, report, talk
from podgate.cli.passwords import PasswordFile, read_password
from podgate.cli.suggestions import Named, suggesting

EVERYONE = "everyone"
ASKING = "--client-certificates"
MOST_HOLDERS = 5  # that are named in a sentence
_DEED = {Grant.READ: "read", Grant.WRITE: "write to", Grant.MANAGE: "manage"}

Pod = Annotated[str, typer.Argument(metavar="POD", help="The pod's name.")]
With = Annotated[str | None, typer.Option("--with", metavar="USER", help="A user.")]
Group = Annotated[str | None, typer.Option("--group", metavar="GROUP", help="All members of a group.")]
Everyone = Annotated[bool, typer.Option("--everyone", help="Everyone who is signed in.")]


def share(
    pod: Pod,
    user: With = None,
    group: Group = None,
    everyone: Everyone = False,
    link: Annotated[bool, typer.Option("--link", help="Whoever has the address that is printed.")] = False,
    level: Annotated[Grant | None, typer.Option(help="What they get; read if left out.")] = None,
    expires: Annotated[
        int | None, typer.Option(parser=duration, metavar="DURATION", help="Of a link: 30d, 12h, 90m.")
    ] = None,
    uses: Annotated[int | None, typer.Option(min=1, help="Of a link: how often it can be opened.")] = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Share a pod with a user, a group, everyone or by a link; without any of these show who holds what on it."""
    given = [bool(user), bool(group), everyone, link]
    only_links = [name for name, value in _of_links(expires, uses, password_file).items() if value is not None]
    if sum(given) > 1:
        raise typer.BadParameter("give one of --with, --group, --everyone and --link", param_hint="SHARE")
    if only_links and not link:
        raise typer.BadParameter("belongs to --link; a grant lasts until podgate unshare", param_hint=only_links[0])
    if level is not None and not any(given):
        raise typer.BadParameter("say for whom: --with, --group, --everyone or --link", param_hint="--level")
    client = Client(Target.from_environment())
    if link:
        _make_link(client, pod, level or Grant.READ, _of_links(expires, uses, password_file), as_json)
    elif any(given):
        _grant(client, pod, grantee(user, group), level or Grant.READ, as_json)
    else:
        _show(client, pod, as_json)


def unshare(
    pod: Pod,
    user: With = None,
    group: Group = None,
    everyone: Everyone = False,
    link: Annotated[
        str | None, typer.Option("--link", metavar="ID", help="A link: podgate share POD lists them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take back what was shared: new connections are refused within a second, open ones end within two."""
    if sum([bool(user), bool(group), everyone, bool(link)]) != 1:
        raise typer.BadParameter("give one of --with, --group, --everyone and --link", param_hint="UNSHARE")
    client = Client(Target.from_environment())
    if link:
        found = _taken_back(client, pod, ("links", link), f"there is no link {link} to {pod}", [])
        report(found or {"pod": pod, "link": link}, f"the link {link} opens {pod} no more", as_json)
        return
    to = grantee(user, group)
    found = _taken_back(client, pod, ("grants", to), f"{pod} is not shared with {in_words(to)}", _named(to))
    report(found or {"pod": pod, "to": to}, f"{pod} is not shared with {in_words(to)} any more", as_json)


def _taken_back(client: Client, pod: str, path: tuple[str, str], missing: str, named: list[Named]) -> Document:
    """End a grant or link. Raises Failure that says who holds what if there is none."""

    def take_back() -> Document:
        return client.delete("pods", pod, *path)

    try:
        return suggesting(client, take_back, Named("pod", pod), *named)
    except Refused as refused:
        if refused.status != httpx.codes.NOT_FOUND:
            raise
    raise Failure(f"{missing}; {_holders(client.get('pods', pod, 'grants'))}, see: podgate share {pod}")


def _holders(found: Document) -> str:
    """Say who holds what on a pod, as far as it fits into a sentence."""
    holders = [f"{in_words(grant['to'])} may {_DEED[Grant(grant['level'])]} it" for grant in found["grants"]]
    holders += [f"link {link['id']} may {_DEED[Grant(link['level'])]} it" for link in found["links"]]
    more = len(holders) - MOST_HOLDERS
    told = [
        f"{found['owner']} owns it",
        *holders[:MOST_HOLDERS],
        *([f"{more} more hold something"] if more > 0 else []),
    ]
    return ", ".join(told)


def grantee(user: str | None, group: str | None) -> str:
    """Name whom a grant is for as the API does; neither: everyone."""
    if user:
        return f"user:{user}"
    return f"group:{group}" if group else EVERYONE


def in_words(to: str) -> str:
    """Say whom a grant is for."""
    kind, _, name = to.partition(":")
    return {"user": name, "group": f"the group {name}"}.get(kind, to)


def web_address(endpoint: Document) -> str:
    """Give the address at which a browser opens an endpoint."""
    port = "" if endpoint["port"] == 443 else f":{endpoint['port']}"
    return f"https://{endpoint['host']}{port}/"


def _of_links(expires: int | None, uses: int | None, password_file: Path | None) -> dict[str, object]:
    return {"--expires": expires, "--uses": uses, "--password-file": password_file}


def _grant(client: Client, pod: str, to: str, level: Grant, as_json: bool) -> None:
    found = suggesting(
        client, lambda: client.put("pods", pod, "grants", to, body={"level": level}), Named("pod", pod), *_named(to)
    )
    if as_json:
        answer_json(found or {"pod": pod, "to": to, "level": level})
        return
    talk(f"{in_words(to)} may {_DEED[level]} {pod}")
    try:
        shared = client.get("pods", pod)
    except Refused:
        return  # done all the same: whoever may share need not be told addresses
    for endpoint in shared["endpoints"]:
        _tell_way(pod, endpoint, level)


def _tell_way(pod: str, endpoint: Document, level: Grant) -> None:
    """Say how people get in, or why they do not yet."""
    where = f"{pod}:{endpoint['name']}" if endpoint["name"] else pod
    order = [str(each) for each in Access]
    if endpoint["access"] not in order[: order.index(level) + 1]:
        cure = f"podgate pod access {where} {level}"
        talk(f"{where} asks for {endpoint['access']}, so this opens it to nobody yet; let them in with: {cure}")
    elif endpoint["protocol"] == "http":
        talk(f"they open {web_address(endpoint)}")
    elif endpoint["access"] == Access.PUBLIC:
        means = f" with {endpoints.OWN}" if endpoints.is_database(endpoint) else ""
        talk(f"anybody may connect to {endpoint['host']}:{endpoint['port']}{means}: it is public")
    elif endpoints.is_database(endpoint):
        talk(endpoints.way_into_database(pod, endpoint))
    else:
        ask = "" if endpoint.get("certificates") else f", once it asks for one: podgate pod access {where} {ASKING}"
        talk(f"they connect to {endpoint['host']}:{endpoint['port']} with a client certificate{ask}")


def _make_link(client: Client, pod: str, level: Grant, of_links: dict[str, object], as_json: bool) -> None:
    body: Document = {"level": level, "expires_in": of_links["--expires"], "uses": of_links["--uses"]}
    file = of_links["--password-file"]
    if isinstance(file, Path):
        body["password"] = read_password("Password of the link", file, new=True)
    told = {field: value for field, value in body.items() if value is not None}
    made = suggesting(client, lambda: client.post("pods", pod, "links", body=told), Named("pod", pod))
    if as_json:
        answer_json(made)
        return
    answer(made["url"])
    end = f"until {made['expires_at']}" if made.get("expires_at") else "without an end"
    talk(f"Whoever has this address may {_DEED[level]} {pod}, {end}; it is shown this once.")
    talk(f"Take it back with: podgate unshare {pod} --link {made['id']}")


def _show(client: Client, pod: str, as_json: bool) -> None:
    found = suggesting(client, lambda: client.get("pods", pod, "grants"), Named("pod", pod))
    if as_json:
        answer_json(found)
        return
    rows = [(f"user:{found['owner']}", "owner", "", "owns it")]
    rows += [(grant["to"], grant["level"], "", "") for grant in found["grants"]]
    rows += [
        (f"link:{link['id']}", link["level"], link.get("expires_at") or "", _notes(link)) for link in found["links"]
    ]
    answer_table(("WHO", "LEVEL", "UNTIL", "NOTES"), rows)


def _notes(link: Document) -> str:
    left = link.get("uses_left")
    notes = ["" if left is None else f"{left} uses left", "with a password" if link.get("has_password") else ""]
    return ", ".join(note for note in notes if note)


def _named(to: str) -> list[Named]:
    noun, _, name = to.partition(":")
    return [Named(noun, name)] if name else []
