"""Sharing over the API, and what a gateway knows of it when the call is answered."""

import json
from dataclasses import replace

import pytest
import trio

from router.access import AccessLevel
from router.model import Route
from router.snapshot import Routes
from tests.controller.api.conftest import Api
from tests.peers import DEADLINE

MYDB = "mydb.pods.localhost"


def route_of(routes: Routes, host: str = MYDB) -> Route:
    (route,) = [route for route in routes.table if route.host == host]
    return route


async def test_what_is_shared_and_taken_back_is_known_to_the_gateways_when_it_is_answered(api: Api) -> None:
    pod = await api.create()
    await api.user("alice")
    async with api.gateway_view() as view:
        route = route_of(await view.read())
        assert (route.pod, route.grants) == (pod["key"], {"user:admin": AccessLevel.OWNER})
        await api.share("user:alice", "write")
        assert route_of(await view.read()).grants["user:alice"] is AccessLevel.WRITE
        await api.share("everyone", "read")
        assert (await api.admin.delete("/v1/pods/mydb/grants/user:alice")).status_code == 200
        grants = route_of(await view.read()).grants
        assert grants == {"user:admin": AccessLevel.OWNER, "everyone": AccessLevel.READ}
        await api.own("mydb", "alice")
        assert route_of(await view.read()).grants == {"user:alice": AccessLevel.OWNER, "everyone": AccessLevel.READ}
    assert api.runtime.calls == [("launch", "mydb")], "nothing was done to the pod"


async def test_tokens_and_users_come_and_go_at_the_gateways(api: Api) -> None:
    await api.create()
    async with api.gateway_view() as view:
        await api.user("alice")
        credentials = (await view.read()).credentials
        (token,) = credentials.tokens.values()
        assert (token.user, token.pod, token.verifier.count(":")) == ("alice", "", 3)
        await api.token("alice", pod="mydb", level="read", expires_in=1000)
        await api.admin.post("/v1/groups", json={"name": "lab"})
        await api.admin.put("/v1/groups/lab/members/alice")
        credentials = (await view.read()).credentials
        user = credentials.user("alice")
        assert user is not None
        assert (len(credentials.tokens), sorted(user.groups)) == (2, ["lab"])
        salts = {each.verifier.split(":")[1] for each in credentials.tokens.values()}
        assert len(salts) == 1, "a Postgres client is told one salt for all"
        assert (await api.admin.delete(f"/v1/tokens/{token.id}?user=alice")).status_code == 204
        assert token.id not in {each.id for each in (await view.read()).credentials.tokens.values()}
        await api.admin.patch("/v1/users/alice", json={"disabled": True})
        credentials = (await view.read()).credentials
        assert (credentials.user("alice"), len(credentials.tokens)) == (None, 0)
        await api.admin.patch("/v1/users/alice", json={"disabled": False})
        credentials = (await view.read()).credentials
        again = credentials.user("alice")
        assert again is not None
        assert (again.since > user.since, len(credentials.tokens)) == (True, 1)
        await api.admin.post("/v1/users/alice/sign-out")
        later = (await view.read()).credentials.user("alice")
        assert later is not None
        assert later.since > again.since
        await api.admin.delete("/v1/pods/mydb")
        await api.admin.get("/v1/pods/mydb/wait?until=gone")
        assert len((await view.read()).credentials.tokens) == 0, "its pod is gone"
        assert (await view.read()).credentials.newest_key


async def test_the_services_tokens_are_never_published(api: Api) -> None:
    async with api.lines("/v1/routes/stream?replica=one") as lines:
        snapshot = json.loads(await lines.next() or b"")
    assert [record["kind"] for record in snapshot["credentials"]] == ["user", "key", "key"]


async def test_a_manager_gives_and_takes_below_their_own_level(api: Api) -> None:
    token = await api.user("mara")
    for name in ("alice", "bob"):
        await api.user(name)
    await api.create()
    await api.share("user:mara", "manage")
    await api.share("user:bob", "manage")
    async with api.caller(token) as mara:
        put = {"user:alice": "write", "everyone": "read"}
        for to, level in put.items():
            assert (await mara.put(f"/v1/pods/mydb/grants/{to}", json={"level": level})).status_code == 200
        for to, level in (("user:alice", "manage"), ("user:bob", "read")):
            refused = await mara.put(f"/v1/pods/mydb/grants/{to}", json={"level": level})
            assert refused.status_code == 403
            assert "takes level owner" in refused.json()["detail"]
            assert "admin" in refused.json()["detail"]
        assert (await mara.delete("/v1/pods/mydb/grants/user:bob")).status_code == 403
        assert (await mara.delete("/v1/pods/mydb/grants/everyone")).status_code == 200
        assert (await mara.delete("/v1/pods/mydb/grants/everyone")).status_code == 404
        strong = (await api.admin.post("/v1/pods/mydb/links", json={"level": "manage"})).json()["id"]
        assert (await mara.delete(f"/v1/pods/mydb/links/{strong}")).status_code == 403


@pytest.mark.parametrize(
    ("to", "level", "status"),
    [
        ("user:none", "read", 409),
        ("group:none", "read", 409),
        ("user:admin", "read", 409),
        ("link:none", "read", 409),
        ("nobody", "read", 409),
        ("everyone", "owner", 422),
        ("everyone", "public", 422),
        ("everyone", "all", 422),
    ],
)
async def test_grants_that_cannot_be(api: Api, to: str, level: str, status: int) -> None:
    await api.create()
    answer = await api.admin.put(f"/v1/pods/mydb/grants/{to}", json={"level": level})
    assert answer.status_code == status, answer.text
    assert (await api.admin.get("/v1/pods/mydb/grants")).json() == {"owner": "admin", "grants": [], "links": []}


async def test_who_may_not_see_a_pod_is_told_what_they_are_told_of_none(api: Api) -> None:
    token = await api.user("sam")
    await api.create()
    async with api.caller(token) as sam:
        for call in ("", "/grants", "/logs", "/wait?until=stopped"):
            there, none = [await sam.get(f"/v1/pods/{name}{call}") for name in ("mydb", "nodb")]
            assert there.status_code == 404
            assert there.text.replace("mydb", "nodb") == none.text
        assert (await sam.get("/v1/pods")).json() == {"pods": []}
        assert (await sam.get("/v1/pods/mydb/wait?until=gone")).status_code == 204
    assert {entry["outcome"] for entry in await api.audit(user="sam", pod="mydb")} == {"refused"}


async def test_only_an_owner_sees_the_credentials(api: Api) -> None:
    token = await api.user("mara")
    await api.create()
    await api.share("user:mara", "manage")
    async with api.caller(token) as mara:
        for answer in (await mara.get("/v1/pods/mydb"), await mara.post("/v1/pods/mydb/restart")):
            assert not {"credentials", "uris"} & answer.json().keys()
        await api.own("mydb", "mara")
        assert (await mara.get("/v1/pods/mydb")).json()["credentials"]["owner"]["password"]


async def test_a_pod_is_its_makers_with_endpoints_as_told(api: Api) -> None:
    token = await api.user("alice", makes_pods=True)
    endpoints = {"default": {"ip_allow": ["10.0.0.0/8"], "certificates": True}, "metrics": {"access": "public"}}
    async with api.caller(token) as alice, api.gateway_view() as view:
        made = await alice.post("/v1/pods", json={"name": "mydb", "template": "db", "endpoints": endpoints})
        assert (made.status_code, made.json()["owner"]) == (201, "alice")
        database, metrics = route_of(await view.read()), route_of(await view.read(), "mydb--metrics.pods.localhost")
        assert (database.access, list(map(str, database.ip_allow)), database.certificates) == (
            AccessLevel.OWNER, ["10.0.0.0/8"], True,
        )  # fmt: skip
        assert metrics.access is AccessLevel.PUBLIC
        change = {"access": "read", "web": {"rate": 5, "burst": 10, "cors": ["https://a.example"]}}
        changed = await alice.patch("/v1/pods/mydb/endpoints/metrics", json=change)
        assert (changed.status_code, changed.json()["web"]["burst"]) == (200, 10)
        metrics = route_of(await view.read(), "mydb--metrics.pods.localhost")
        assert (metrics.access, metrics.web.rate, metrics.web.cors) == (AccessLevel.READ, 5, ("https://a.example",))
        await alice.patch("/v1/pods/mydb/endpoints/default", json={"ip_allow": []})
        database = route_of(await view.read())
        assert (database.ip_allow, database.certificates) == ((), True)
        limits = {"most_links": 20, "most_links_of_user": 5}
        told = (await alice.patch("/v1/pods/mydb/endpoints/default", json=limits)).json()
        assert told | limits == told
        found = route_of(await view.read()).database
        assert (found.most_links, found.most_links_of_user, found.name) == (20, 5, "mydb")
        await alice.patch("/v1/pods/mydb/endpoints/default", json={"most_links": 0})
        found = route_of(await view.read()).database
        assert (found.most_links, found.most_links_of_user) == (0, 5)
        assert (await alice.patch("/v1/pods/mydb/endpoints/none", json={})).status_code == 404
        assert (await alice.patch("/v1/pods/mydb/endpoints/default", json={"web": {"rate": 1}})).status_code == 422


async def test_only_an_owner_opens_an_endpoint_to_everybody(api: Api) -> None:
    token = await api.user("mara")
    await api.admin.post("/v1/pods", json={"name": "mydb", "template": "db", "access": "public"})
    await api.share("user:mara", "manage")
    path = "/v1/pods/mydb/endpoints/default"
    async with api.caller(token) as mara:
        assert (await mara.patch(path, json={"access": "read"})).status_code == 200
        for access in ("public", None):
            assert (await mara.patch(path, json={"access": access})).status_code == 403
        assert (await api.admin.patch(path, json={"access": None})).json()["access"] == "public"


async def test_an_administrator_gives_an_endpoint_hosts_of_its_own(api: Api) -> None:
    await api.create()
    await api.create("other")
    path, token = "/v1/pods/mydb/endpoints/metrics", await api.user("alice")
    async with api.gateway_view() as view:
        await api.own("mydb", "alice")
        given = await api.admin.patch(path, json={"hosts": ["Stats.Example.org", "stats.example.org"]})
        assert (given.status_code, given.json()["hosts"]) == (200, ["stats.example.org"])
        own = route_of(await view.read(), "mydb--metrics.pods.localhost")
        assert replace(own, host="stats.example.org") == route_of(await view.read(), "stats.example.org")
        async with api.caller(token) as alice:
            assert (await alice.patch(path, json={"hosts": ["bank.example.org"]})).status_code == 403
            assert (await alice.patch(path, json={"hosts": ["stats.example.org"]})).status_code == 200
            assert (await alice.patch(path, json={"hosts": []})).json()["hosts"] == []
        assert [route for route in (await view.read()).table if route.host == "stats.example.org"] == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("x.pods.localhost", 409),
        ("pods.localhost", 409),
        ("podgate.localhost", 409),
        ("taken.example.org", 409),
        ("192.0.2.1", 422),
        ("*.example.org", 422),
        ("a b", 422),
    ],
)
async def test_a_host_that_is_somebody_elses_is_not_given(api: Api, host: str, status: int) -> None:
    await api.create()
    await api.create("other")
    await api.admin.patch("/v1/pods/other/endpoints/metrics", json={"hosts": ["taken.example.org"]})
    answer = await api.admin.patch("/v1/pods/mydb/endpoints/default", json={"hosts": [host]})
    assert answer.status_code == status
    new = {"name": "third", "template": "db", "endpoints": {"default": {"hosts": ["new.example.org"]}}}
    assert (await api.admin.post("/v1/pods", json=new)).status_code == 422


async def test_a_link_is_shown_once_and_goes_when_it_is_removed(api: Api) -> None:
    await api.create()
    made = await api.admin.post("/v1/pods/mydb/links", json={"level": "read", "uses": 3})
    link = made.json()
    assert link["url"].startswith("https://podgate.localhost:8443/link/pgl_")
    shown = (await api.admin.get("/v1/pods/mydb/grants")).json()
    assert link["url"].rpartition("/")[2] not in json.dumps(shown)
    assert [(each["id"], each["uses_left"], each["has_password"]) for each in shown["links"]] == [
        (link["id"], 3, False)
    ]
    async with api.gateway_view() as view:
        assert route_of(await view.read()).grants[f"link:{link['id']}"] is AccessLevel.READ
        assert (await api.admin.delete(f"/v1/pods/mydb/links/{link['id']}")).status_code == 204
        assert route_of(await view.read()).grants == {"user:admin": AccessLevel.OWNER}


@pytest.mark.parametrize("how", ["grant", "user", "token"])
async def test_logs_end_for_whom_they_are_not_any_more(api: Api, how: str) -> None:
    await api.create()
    api.runtime.lines = [b"line\n"]
    await api.user("rita")
    token = await api.token("rita")
    await api.share("user:rita", "read")
    async with api.caller(token) as rita, rita.stream("GET", "/v1/pods/mydb/logs?follow=true") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "line"
        if how == "grant":
            await api.admin.delete("/v1/pods/mydb/grants/user:rita")
        elif how == "user":
            await api.admin.patch("/v1/users/rita", json={"disabled": True})
        else:
            async with api.caller(token) as self:
                me = (await self.get("/v1/me")).json()["token"]["id"]
                assert (await self.delete(f"/v1/tokens/{me}")).status_code == 204
        with trio.fail_after(DEADLINE):
            assert [line async for line in lines] == []
