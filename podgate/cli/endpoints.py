"""`podgate pod access` and `podgate pod give`: who may use a pod at all, and whose it is."""

import sys
from typing import Annotated

import typer

from podgate.cli.client import Client, Document, Target
from podgate.cli.levels import Access
from podgate.cli.measures import duration, network, size
from podgate.cli.output import Json, report
from podgate.cli.suggestions import Named, suggesting

OWN = "the pod's own user and password, which its owner is told"
_CLIENTS = {"postgres": "psql", "bolt": "cypher"}
DEFAULT = "default"  # how the API's paths name the endpoint without a name


def access(
    endpoint: Annotated[str, typer.Argument(metavar="POD[:ENDPOINT]", help="The pod, or one of its other endpoints.")],
    level: Annotated[Access | None, typer.Argument(help="The least level a caller needs; public: none.")] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(parser=network, metavar="NET", help="Let in these networks only, instead of those before."),
    ] = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="Let in any network.")] = False,
    certificates: Annotated[
        bool | None,
        typer.Option(
            "--client-certificates/--no-client-certificates", help="Ask clients for a certificate.", show_default=False
        ),
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Web: sites whose scripts may call it, or *.")
    ] = None,
    no_cors: Annotated[bool, typer.Option("--no-cors", help="Web: no other site's scripts.")] = False,
    largest_body: Annotated[
        int | None, typer.Option(parser=size, metavar="SIZE", help="Web: of a request, such as 10MiB; none: no limit.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="Web: requests a second of one caller; 0: no limit.")
    ] = None,
    burst: Annotated[int | None, typer.Option(min=0, metavar="N", help="Web: how many more may come at once.")] = None,
    idle_timeout: Annotated[
        int | None, typer.Option(parser=duration, metavar="DURATION", help="Web: silence that ends a request.")
    ] = None,
    most_connections: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Postgres: open at once; 0: no limit.")
    ] = None,
    most_connections_of_user: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Postgres: open at once of one user; 0: no limit.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Have it reached by these names too (administrators only).")
    ] = None,
    no_hosts: Annotated[bool, typer.Option("--no-hosts", help="No other names than its own.")] = False,
    as_json: Json = False,
) -> None:
    """Change who may use a pod's endpoint; what is not told stays. See it with: podgate pod show."""
    if any_ip and allow_ip:
        raise typer.BadParameter("give networks or any, not both", param_hint="--any-ip")
    if no_hosts and host:
        raise typer.BadParameter("give names or none, not both", param_hint="--no-hosts")
    if no_cors and cors:
        raise typer.BadParameter("give origins or none, not both", param_hint="--no-cors")
    rules: Document = {"rate": rate, "burst": burst, "idle_timeout": idle_timeout}
    web = {name: value for name, value in rules.items() if value is not None}
    if largest_body is not None:
        web["largest_body"] = largest_body or None
    if cors or no_cors:
        web["cors"] = cors or []
    body: Document = {
        "access": level,
        "certificates": certificates,
        "web": web or None,
        "most_links": most_connections,
        "most_links_of_user": most_connections_of_user,
    }
    told = {name: value for name, value in body.items() if value is not None}
    if allow_ip or any_ip:
        told["ip_allow"] = allow_ip or []
    if host or no_hosts:
        told["hosts"] = host or []
    if not told:
        raise typer.BadParameter("say what to change: a level, or one of the options", param_hint="LEVEL")
    _change(endpoint, told, as_json)


def give(
    pod: Annotated[str, typer.Argument(metavar="POD", help="The pod's name.")],
    user: Annotated[str, typer.Argument(metavar="USER", help="Who is to own it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Give a pod away: the user owns it from now on, and you hold nothing of it but what is shared with you."""
    client = Client(Target.from_environment())
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Give {pod} to {user}? Only they can give it back, or share it with you.", abort=True, err=True)
    found = suggesting(
        client, lambda: client.put("pods", pod, "owner", body={"user": user}), Named("pod", pod), Named("user", user)
    )
    report(found or {"pod": pod, "owner": user}, f"{pod} is {user}'s now", as_json)


def access_of(pod: Document) -> str:
    """Give what the default endpoint asks for, or the pod's own word if it has none."""
    return str(next((each["access"] for each in pod["endpoints"] if not each["name"]), pod["access"]))


def is_database(endpoint: Document) -> bool:
    """Tell whether an endpoint's clients have a user and a password."""
    return endpoint["protocol"] in ("postgres", "bolt")


def takes_token(endpoint: Document) -> bool:
    """Tell whether an endpoint takes the name of a user and an API token as the password."""
    return is_database(endpoint) and bool(endpoint["access"] != Access.PUBLIC)


def way_into_database(pod: str, endpoint: Document) -> str:
    """Say how one gets into a database that asks for a level."""
    certified = ", or their client certificate (podgate certificate issue)" if endpoint.get("certificates") else ""
    return (
        f"{pod} takes whoever holds {endpoint['access']}, by their own user name and with an API token of theirs as "
        f"the password (podgate token create {_CLIENTS[endpoint['protocol']]}){certified}"
    )


def rules_of(endpoint: Document) -> list[str]:
    """Say what an endpoint asks of its clients beside a level, as far as the API tells."""
    web = endpoint.get("web") or {}
    told = [
        ("also reached as {}", ", ".join(endpoint.get("hosts") or ())),
        ("only from {}", ", ".join(endpoint.get("ip_allow") or ())),
        ("asks for client certificates", endpoint.get("certificates")),
        ("at most {} connections", endpoint.get("most_links")),
        ("at most {} connections of one user", endpoint.get("most_links_of_user")),
        ("scripts of {}", ", ".join(web.get("cors") or ())),
        ("bodies of at most {} bytes", web.get("largest_body")),
        ("{:g} requests a second", web.get("rate")),
        ("{} more at once", web.get("burst")),
        ("silent for at most {:g} s", web.get("idle_timeout")),
    ]
    return [text.format(value) for text, value in told if value]


def _change(endpoint: str, told: Document, as_json: bool) -> None:
    pod, _, name = endpoint.partition(":")
    client = Client(Target.from_environment())

    def change() -> Document:
        body = told
        if "web" in told:  # the API takes these rules as one
            body = {**told, "web": {**_web_rules(client.get("pods", pod), name), **told["web"]}}
        return client.patch("pods", pod, "endpoints", name or DEFAULT, body=body)

    found = suggesting(client, change, Named("pod", pod))
    level = told.get("access")
    sentence = f"{endpoint} asks for {level}" if level else f"{endpoint} is changed"
    if level == Access.PUBLIC:
        sentence = f"{endpoint} is open to everyone: nobody is asked who they are"
    report(found or {"pod": pod, "endpoint": name, **told}, f"{sentence}; see: podgate pod show {pod}", as_json)


def _web_rules(pod: Document, name: str) -> Document:
    found = [endpoint.get("web") or {} for endpoint in pod["endpoints"] if endpoint["name"] == name]
    return found[0] if found else {}
