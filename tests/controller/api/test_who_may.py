"""Every call of the API with every kind of caller: one table, which fails when a call is not in it."""

from collections.abc import Mapping
from itertools import count

import httpx

from tests.controller.api.conftest import Api, caller

# Who calls. The pod is olga's; `elsewhere` is a token of hers for another pod, `capped` one for level read.
LIVE = "service admin owner manage write read stranger scoped elsewhere capped gateway".split()
DEAD = "nobody expired revoked disabled garbage".split()

ADMINS = "200 200 403 403 403 403 403 403 403 403 403"
ANYONE = "200 200 200 200 200 200 200 200 200 200 403"
ACCOUNTS = "200 200 200 200 200 200 200 403 403 403 403"
SELVES = "200 200 200 403 403 403 403 403 403 403 403"
READERS = "200 200 200 200 200 200 404 200 404 200 403"
MANAGERS = "200 200 200 200 403 403 404 200 404 403 403"
OWNERS = "200 200 200 403 403 403 404 200 404 403 403"
SERVICES = "200 403 403 403 403 403 403 403 403 403 200"
STANDING = {"replica": "none", "workers": 1, "links": 0, "openings": 0, "draining": False}

# Method, path, body, who; the status that stands for 200. `NEW` is another name each time; `{…}` is made before.
TABLE: list[tuple[str, str, object, str, int]] = [
    ("GET", "/v1/me", None, ANYONE, 200),
    ("GET", "/v1/status", None, ANYONE, 200),
    ("GET", "/v1/templates", None, ANYONE, 200),
    ("GET", "/v1/openapi.json", None, ANYONE, 200),
    ("GET", "/v1/nothing-here", None, ANYONE, 404),
    ("GET", "/", None, ANYONE, 404),
    ("GET", "/v1/users", None, ADMINS, 200),
    ("POST", "/v1/users", {"name": "NEW"}, ADMINS, 201),
    ("GET", "/v1/users/olga", None, SELVES, 200),
    ("PATCH", "/v1/users/olga", {"email": "o@example.org"}, ADMINS, 200),
    ("DELETE", "/v1/users/{user}", None, ADMINS, 204),
    ("POST", "/v1/users/olga/sign-out", None, SELVES, 204),
    ("GET", "/v1/groups", None, ADMINS, 200),
    ("POST", "/v1/groups", {"name": "NEW"}, ADMINS, 201),
    ("GET", "/v1/groups/lab", None, ADMINS, 200),
    ("DELETE", "/v1/groups/{group}", None, ADMINS, 204),
    ("PUT", "/v1/groups/lab/members/{user}", None, ADMINS, 204),
    ("DELETE", "/v1/groups/lab/members/{member}", None, ADMINS, 204),
    ("POST", "/v1/tokens", {"name": "NEW"}, ACCOUNTS, 201),
    ("POST", "/v1/tokens", {"name": "NEW", "user": "olga"}, SELVES, 201),
    ("POST", "/v1/tokens", {"name": "NEW", "pod": "mydb"}, "200 200 200 200 200 200 404 403 403 403 403", 201),
    ("GET", "/v1/tokens", None, ACCOUNTS, 200),
    ("GET", "/v1/tokens?user=olga", None, SELVES, 200),
    ("DELETE", "/v1/tokens/none", None, ACCOUNTS, 404),
    ("DELETE", "/v1/tokens/none?user=olga", None, SELVES, 404),
    ("POST", "/v1/certificates", {"csr": "none"}, ACCOUNTS, 422),
    ("GET", "/v1/audit", None, ANYONE, 200),
    ("GET", "/v1/pods", None, ANYONE, 200),
    ("POST", "/v1/pods", {"name": "NEW", "template": "db"}, SELVES, 201),  # olga may make pods
    ("GET", "/v1/pods/mydb", None, READERS, 200),
    ("GET", "/v1/pods/mydb/wait?timeout=0", None, READERS, 504),
    ("GET", "/v1/pods/mydb/logs", None, READERS, 200),
    ("GET", "/v1/pods/mydb/events", None, READERS, 200),
    ("POST", "/v1/pods/mydb/stop", None, MANAGERS, 202),
    ("POST", "/v1/pods/mydb/start", None, MANAGERS, 202),
    ("POST", "/v1/pods/mydb/restart", None, MANAGERS, 202),
    ("POST", "/v1/pods/mydb/rotate", None, OWNERS, 409),  # its template has no keeper
    ("GET", "/v1/pods/mydb/grants", None, MANAGERS, 200),
    ("PUT", "/v1/pods/mydb/grants/group:lab", {"level": "write"}, MANAGERS, 200),
    ("PUT", "/v1/pods/mydb/grants/group:lab", {"level": "manage"}, OWNERS, 200),
    ("PUT", "/v1/pods/mydb/grants/group:lab", {"level": "read"}, OWNERS, 200),  # it was given manage
    ("DELETE", "/v1/pods/mydb/grants/{granted}", None, MANAGERS, 200),
    ("PUT", "/v1/pods/mydb/owner", {"user": "olga"}, OWNERS, 200),
    ("POST", "/v1/pods/mydb/links", {"level": "write"}, MANAGERS, 201),
    ("POST", "/v1/pods/mydb/links", {"level": "manage"}, OWNERS, 201),
    ("DELETE", "/v1/pods/mydb/links/{link}", None, MANAGERS, 204),
    ("PATCH", "/v1/pods/mydb/endpoints/metrics", {"access": "read"}, MANAGERS, 200),
    ("PATCH", "/v1/pods/mydb/endpoints/default", {"access": "public"}, OWNERS, 200),
    ("GET", "/v1/routes/stream?replica=NEW", None, SERVICES, 200),
    ("POST", "/v1/routes/ack", {"replica": "none", "epoch": "e", "version": 1}, SERVICES, 409),
    ("POST", "/v1/routes/audit", {"replica": "none", "entries": []}, SERVICES, 204),
    ("POST", "/v1/routes/standing", STANDING, SERVICES, 409),
    ("POST", "/v1/routes/certificate", {"replica": "none", "csr": "none"}, SERVICES, 422),
    ("GET", "/v1/gateways", None, ADMINS, 200),
    ("GET", "/v1/gateway-tokens", None, ADMINS, 200),
    ("POST", "/v1/gateway-tokens", {"name": "NEW"}, ADMINS, 201),
    ("DELETE", "/v1/gateway-tokens/none", None, ADMINS, 404),
    ("GET", "/v1/orphans", None, ADMINS, 200),
    ("DELETE", "/v1/orphans/none", None, ADMINS, 404),
    ("GET", "/v1/routes/nothing-here", None, SERVICES, 404),
    ("DELETE", "/v1/pods/mydb", None, OWNERS, 202),
]
OPEN = {("GET", "/v1/healthz"), ("POST", "/v1/login")}
NEW = count(1)


async def tokens_of(api: Api) -> dict[str, str]:
    """Make all kinds of callers; give their tokens."""
    people = {"admin": "anna", "owner": "olga", "manage": "mara", "write": "will", "read": "rita", "stranger": "sam"}
    tokens = {
        kind: await api.user(name, admin=kind == "admin", makes_pods=kind == "owner") for kind, name in people.items()
    }
    await api.create()
    await api.create("other")
    for pod in ("mydb", "other"):
        await api.own(pod, "olga")
    for level in ("manage", "write", "read"):
        await api.share(f"user:{people[level]}", level)
    await api.admin.post("/v1/groups", json={"name": "lab"})
    async with api.caller(tokens["owner"]) as olga:
        limited: dict[str, dict[str, object]] = {
            "scoped": {"pod": "mydb"},
            "elsewhere": {"pod": "other"},
            "capped": {"level": "read"},
            "expired": {"expires_in": 0.01},
            "revoked": {},
        }
        for kind, limits in limited.items():
            tokens[kind] = (await olga.post("/v1/tokens", json={"name": kind, **limits})).json()["token"]
        assert (await olga.delete("/v1/tokens/revoked")).status_code == 204
    tokens["disabled"] = await api.user("dora", admin=True)
    assert (await api.admin.patch("/v1/users/dora", json={"disabled": True})).status_code == 200
    tokens["garbage"] = "pgt_" + "A" * 43
    tokens["nobody"] = ""
    for kind in ("service", "gateway"):
        file = {"service": "admin"}.get(kind, kind)
        tokens[kind] = (api.settings.home / f"{file}.token").read_text().strip()
    return tokens


async def made_before(api: Api, path: str) -> str:
    """Make what a path names and a call might take away, and give the path."""
    name = f"new-{next(NEW)}"
    if "{user}" in path or "{member}" in path:
        assert (await api.admin.post("/v1/users", json={"name": name})).status_code == 201
    if "{member}" in path:
        assert (await api.admin.put(f"/v1/groups/lab/members/{name}")).status_code == 204
    if "{group}" in path or "{granted}" in path:
        assert (await api.admin.post("/v1/groups", json={"name": name})).status_code == 201
    if "{granted}" in path:
        await api.share(f"group:{name}", "read")
    link = ""
    if "{link}" in path:
        link = (await api.admin.post("/v1/pods/mydb/links", json={"level": "read"})).json()["id"]
    return path.format(user=name, member=name, group=name, granted=f"group:{name}", link=link).replace("NEW", name)


async def status_of(api: Api, token: str, method: str, path: str, body: object) -> int:
    path = await made_before(api, path)
    if isinstance(body, Mapping):
        body = {key: f"new-{next(NEW)}" if value == "NEW" else value for key, value in body.items()}
    async with caller(api.settings, token=token) as client, client.stream(method, path, json=body) as answer:
        if answer.status_code >= 400:
            await check_problem(answer)
        return answer.status_code


async def check_problem(answer: httpx.Response) -> None:
    await answer.aread()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


async def test_who_may_do_what(api: Api) -> None:
    tokens = await tokens_of(api)
    assert sorted(tokens) == sorted(LIVE + DEAD)
    api.runtime.refusals["remove"] = "it stays, so that all can ask for its end"
    wrong = []
    for method, path, body, who, success in TABLE:
        expected = dict(zip(LIVE, map(int, who.split()), strict=True)) | dict.fromkeys(DEAD, 401)
        if path.endswith("group:lab") and body == {"level": "write"}:
            await api.admin.delete("/v1/pods/mydb/grants/group:lab")
        for kind, status in expected.items():
            if "public" in str(body):
                await api.admin.patch("/v1/pods/mydb/endpoints/default", json={"access": None})
            if path.endswith("group:lab") and body == {"level": "read"}:
                await api.share("group:lab", "manage")
            found = await status_of(api, tokens[kind], method, path, body)
            if found != (success if status == 200 else status):
                wrong.append(f"{method} {path} {body} as {kind}: {found} and not {status} ({success})")
    assert wrong == []


async def test_open_calls_need_no_token(api: Api) -> None:
    assert (await api.nobody.get("/v1/healthz")).status_code == 200
    refused = await api.nobody.post("/v1/login", json={"user": "nobody", "password": "x"})
    assert (refused.status_code, "user or password" in refused.json()["detail"]) == (401, True)


async def test_the_table_is_complete(api: Api) -> None:
    described = (await api.admin.get("/v1/openapi.json")).json()["paths"]
    there = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert there - {entry for entry in there if any(fits(entry, row) for row in TABLE)} == OPEN


def fits(entry: tuple[str, str], row: tuple[str, str, object, str, int]) -> bool:
    """Tell whether a row of the table is of a path of the description."""
    method, parts = entry[0], entry[1].split("/")
    given = row[1].partition("?")[0].split("/")
    return (
        method == row[0]
        and len(parts) == len(given)
        and all(part == other or part.startswith("{") for part, other in zip(parts, given, strict=True))
    )
