"""Users, groups, tokens and sign-in over the API."""

import json
import logging

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.identity import Outcome
from controller.throttle import FREE_FAILURES
from tests.controller.api.conftest import Api

PASSWORD = "correct horse battery"


async def test_the_user_admin_is_there_from_the_start_and_has_no_password(api: Api) -> None:
    (admin,) = (await api.admin.get("/v1/users")).json()["users"]
    assert (admin["name"], admin["admin"], admin["has_password"]) == ("admin", True, False)
    me = {"user": "admin", "admin": True, "makes_pods": True, "groups": [], "token": None}
    assert (await api.admin.get("/v1/me")).json() == me
    refused = await api.nobody.post("/v1/login", json={"user": "admin", "password": ""})
    assert refused.status_code == 401


async def test_a_user_logs_in_and_gets_a_token_of_their_own(api: Api) -> None:
    await api.user("alice", password=PASSWORD)
    first = await api.nobody.post("/v1/login", json={"user": "alice", "password": PASSWORD, "name": "laptop"})
    again = await api.nobody.post("/v1/login", json={"user": "alice", "password": PASSWORD, "name": "laptop"})
    assert (first.status_code, again.status_code) == (200, 200)
    login = first.json()
    assert (login["user"], login["name"], login["level"], login["pod"]) == ("alice", "laptop", "owner", None)
    assert login["token"].startswith("pgt_")
    assert len(login["token"]) == 47
    assert again.json()["name"].startswith("laptop-"), "the first one is not taken away"
    async with api.caller(login["token"]) as alice:
        assert (await alice.get("/v1/me")).json()["token"]["id"] == login["id"]
        listed = (await alice.get("/v1/tokens")).json()["tokens"]
        assert [each["last"] for each in listed][1:] == [login["token"][-4:], again.json()["token"][-4:]]
        assert login["token"] not in json.dumps(listed)
        assert (await alice.delete("/v1/tokens/laptop")).status_code == 204
        assert (await alice.get("/v1/me")).status_code == 401


async def test_guessing_passwords_becomes_slow(api: Api) -> None:
    await api.user("alice", password=PASSWORD)
    for _ in range(FREE_FAILURES):
        refused = await api.nobody.post("/v1/login", json={"user": "alice", "password": "wrong"})
        assert refused.status_code == 401
    for password in ("wrong", PASSWORD):
        refused = await api.nobody.post("/v1/login", json={"user": "alice", "password": password})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
    assert len(await api.audit(user="alice", outcome=Outcome.REFUSED)) == 1  # one tells it


async def test_people_change_their_own_password_and_are_signed_out_by_that(api: Api) -> None:
    token = await api.user("alice", password=PASSWORD)
    async with api.caller(token) as alice:
        before = (await alice.get("/v1/users/alice")).json()["since"]
        wrong = await alice.patch("/v1/users/alice", json={"password": "another one", "current": "wrong"})
        assert (wrong.status_code, wrong.json()["errors"]) == (422, [{"field": "current", "reason": "not right"}])
        for change in (
            {"admin": True},
            {"disabled": False},
            {"makes_pods": True},
            {"password": "another one", "admin": True},
        ):
            refused = await alice.patch("/v1/users/alice", json=change | {"current": PASSWORD})
            assert refused.status_code == 403
        changed = await alice.patch("/v1/users/alice", json={"password": "another one", "current": PASSWORD})
        assert (changed.status_code, changed.json()["since"] > before) == (200, True)
    for password, status in ((PASSWORD, 401), ("another one", 200)):
        answer = await api.nobody.post("/v1/login", json={"user": "alice", "password": password})
        assert answer.status_code == status


async def test_an_admin_is_always_left(api: Api) -> None:
    for change in ({"admin": False}, {"disabled": True}):
        assert (await api.admin.patch("/v1/users/admin", json=change)).status_code == 409
    await api.user("anna", admin=True)
    assert (await api.admin.patch("/v1/users/admin", json={"disabled": True})).status_code == 200
    assert (await api.admin.delete("/v1/users/anna")).status_code == 409
    refused = await api.admin.delete("/v1/users/admin")
    assert (refused.status_code, "admin.token" in refused.json()["detail"]) == (409, True)
    assert (await api.admin.get("/v1/users")).status_code == 200, "admin.token is not the user's"


async def test_a_user_who_owns_pods_stays(api: Api) -> None:
    await api.user("alice")
    await api.create()
    await api.own("mydb", "alice")
    refused = await api.admin.delete("/v1/users/alice")
    assert (refused.status_code, "owns mydb" in refused.json()["detail"]) == (409, True)
    await api.own("mydb", "admin")
    assert (await api.admin.delete("/v1/users/alice")).status_code == 204
    assert (await api.admin.get("/v1/users/alice")).status_code == 404


async def test_who_comes_after_a_deleted_user_of_the_same_name_gets_nothing_of_theirs(api: Api) -> None:
    old = await api.user("alice")
    await api.create()
    await api.share("user:alice", "manage")
    await api.admin.post("/v1/groups", json={"name": "lab"})
    await api.admin.put("/v1/groups/lab/members/alice")
    async with api.caller(old) as alice:
        assert (await alice.post("/v1/pods/mydb/stop")).status_code == 202
    assert (await api.admin.delete("/v1/users/alice")).status_code == 204
    new = await api.user("alice")
    async with api.caller(old) as gone, api.caller(new) as alice:
        assert (await gone.get("/v1/me")).status_code == 401
        assert (await alice.get("/v1/pods/mydb")).status_code == 404
        assert (await alice.get("/v1/me")).json()["groups"] == []
        assert (await alice.get("/v1/audit")).json() == {"entries": []}
    assert (await api.admin.get("/v1/pods/mydb/grants")).json()["grants"] == []


async def test_a_deleted_group_takes_its_grants_along(api: Api) -> None:
    token = await api.user("alice")
    await api.create()
    await api.admin.post("/v1/groups", json={"name": "lab"})
    await api.share("group:lab", "read")
    await api.admin.put("/v1/groups/lab/members/alice")
    async with api.caller(token) as alice:
        assert (await alice.get("/v1/pods/mydb")).status_code == 200
        assert (await api.admin.delete("/v1/groups/lab")).status_code == 204
        assert (await alice.get("/v1/pods/mydb")).status_code == 404
    await api.admin.post("/v1/groups", json={"name": "lab"})
    assert (await api.admin.get("/v1/groups")).json() == {"groups": [{"name": "lab", "members": []}]}
    assert (await api.admin.get("/v1/pods/mydb/grants")).json()["grants"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/users", {"name": "Alice"}, 422),
        ("POST", "/v1/users", {"name": "everyone"}, 422),
        ("POST", "/v1/users", {"name": "a\r\nx-podgate-user: admin"}, 422),
        ("POST", "/v1/users", {"name": "link:x"}, 422),
        ("POST", "/v1/users", {"name": "admin"}, 409),
        ("POST", "/v1/users", {"name": "alice", "password": "short"}, 422),
        ("POST", "/v1/users", {"name": "alice", "password": "x" * 1025}, 422),
        ("POST", "/v1/users", {"name": "alice", "groups": ["admins"]}, 422),
        ("POST", "/v1/users", {"name": "alice", "email": "a\0@example.org"}, 422),
        ("PATCH", "/v1/users/none", {"email": "x"}, 404),
        ("DELETE", "/v1/users/none", None, 404),
        ("POST", "/v1/users/none/sign-out", None, 404),
        ("POST", "/v1/groups", {"name": "everyone"}, 422),
        ("DELETE", "/v1/groups/none", None, 404),
        ("PUT", "/v1/groups/none/members/admin", None, 404),
        ("DELETE", "/v1/groups/none/members/admin", None, 404),
        ("POST", "/v1/tokens", {"name": "", "user": "admin"}, 422),
        ("POST", "/v1/tokens", {"name": "a\nb"}, 422),
        ("POST", "/v1/tokens", {"name": "t", "user": "none"}, 404),
        ("POST", "/v1/tokens", {"name": "t", "pod": "none"}, 404),
        ("POST", "/v1/tokens", {"name": "t", "level": "public"}, 422),
        ("POST", "/v1/tokens", {"name": "t", "level": "root"}, 422),
        ("POST", "/v1/tokens", {"name": "t", "expires_in": 0}, 422),
        ("POST", "/v1/tokens", {"name": "t", "expires_in": -1}, 422),
        ("POST", "/v1/tokens", {"name": "t", "expires_in": 1e300}, 422),
        ("POST", "/v1/certificates", {"csr": "x", "hours": 25}, 422),
    ],
)
async def test_what_cannot_be(api: Api, method: str, path: str, body: object, status: int) -> None:
    answer = await api.admin.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


async def test_what_is_wrong_is_told_in_our_own_words(api: Api) -> None:
    for path, body, words in (
        ("users", {"name": "alice", "password": "short"}, "password: expected at least 8 characters"),
        ("users", {"name": "x" * 100}, "name: expected at most 64 characters"),
        ("users", {"name": 7}, "name: expected a valid string"),
        ("users", {}, "name: required"),
        ("users", [], "body: expected an object"),
        ("certificates", {"csr": "x", "hours": 25}, "hours: expected at most 24"),
        ("certificates", {"csr": "x", "hours": 0}, "hours: expected more than 0"),
        ("tokens", {"name": "t", "expires_in": "x"}, "expires_in: expected a valid number"),
    ):
        refused = await api.admin.post(f"/v1/{path}", json=body)
        assert (refused.status_code, "should" in refused.text) == (422, False)
        assert refused.json()["detail"].startswith(f"the request is not valid: {words}"), refused.text


async def test_who_is_not_in_a_group_cannot_leave_it(api: Api) -> None:
    await api.user("alice")
    await api.admin.post("/v1/groups", json={"name": "lab"})
    refused = await api.admin.delete("/v1/groups/lab/members/alice")
    told = "user 'alice' is not in group 'lab'; see who is: podgate group list"
    assert (refused.status_code, refused.json()["detail"]) == (404, told)
    assert "remove from group" not in [entry["what"] for entry in await api.audit()]


async def test_pods_are_made_by_those_alone_who_were_let(api: Api) -> None:
    token = await api.user("alice")
    new = {"name": "mine", "template": "db"}
    async with api.caller(token) as alice:
        assert (await alice.get("/v1/me")).json()["makes_pods"] is False
        refused = await alice.post("/v1/pods", json=new)
        assert refused.status_code == 403
        assert refused.json()["detail"].endswith("ask an administrator for: podgate user allow alice --make-pods")
        assert (await api.admin.patch("/v1/users/alice", json={"makes_pods": True})).json()["makes_pods"] is True
        assert (await alice.get("/v1/me")).json()["makes_pods"] is True
        assert (await alice.post("/v1/pods", json=new)).status_code == 201
        assert (await api.admin.patch("/v1/users/alice", json={"makes_pods": False})).json()["makes_pods"] is False
        assert (await alice.post("/v1/pods", json=new | {"name": "other"})).status_code == 403
        assert (await alice.post("/v1/pods/mine/stop")).status_code == 202, "what one has one keeps"
    changes = [entry["detail"] for entry in await api.audit() if entry["what"] == "change user"]
    assert changes == ["alice: may make no pods", "alice: may make pods"]


async def test_an_admin_always_may_make_pods(api: Api) -> None:
    made = await api.admin.post("/v1/users", json={"name": "anna", "admin": True})
    assert made.json()["makes_pods"] is True
    assert (await api.admin.patch("/v1/users/anna", json={"makes_pods": False})).json()["makes_pods"] is True
    assert (await api.admin.patch("/v1/users/anna", json={"admin": False})).json()["makes_pods"] is False
    made = await api.admin.post("/v1/users", json={"name": "bob", "makes_pods": True})
    assert made.json()["makes_pods"] is True
    assert (await api.audit())[0]["detail"] == "bob, who may make pods"


async def test_a_refusal_names_what_was_asked_and_a_limit_only_where_there_is_one(api: Api) -> None:
    await api.create()
    token = await api.user("alice")
    await api.share("user:alice", "write")
    async with api.caller(token) as alice, api.caller(await api.token("alice", level="read")) as limited:
        for action in ("start", "stop", "restart"):
            refused = (await alice.post(f"/v1/pods/mydb/{action}")).json()["detail"]
            held = "takes level manage, and yours here is write; ask its owner, admin"
            assert refused == f"pod 'mydb': to {action} it {held}"
        refused = (await limited.post("/v1/pods/mydb/restart")).json()["detail"]
        assert refused.endswith("yours here is read; ask its owner, admin, or use a token that is not limited")
    await api.own("mydb", "alice")
    async with api.caller(await api.token("alice", level="read")) as limited:
        refused = (await limited.delete("/v1/pods/mydb")).json()["detail"]
        assert refused.endswith("yours here is read; use a token that is not limited")


async def test_a_token_is_not_made_twice_under_one_name_and_the_first_lives_on(api: Api) -> None:
    assert (await api.admin.post("/v1/tokens", json={"name": "ci"})).status_code == 201
    assert (await api.admin.post("/v1/tokens", json={"name": "ci"})).status_code == 409
    assert len((await api.admin.get("/v1/tokens")).json()["tokens"]) == 1


async def test_a_limited_token_may_revoke_itself_and_no_other(api: Api) -> None:
    await api.user("alice")
    await api.create()
    await api.share("user:alice", "write")
    scoped = await api.token("alice", level="read")
    other = await api.token("alice", level="read")
    async with api.caller(scoped) as alice, api.caller(other) as second:
        assert (await alice.get("/v1/pods/mydb")).status_code == 200
        own = (await alice.get("/v1/me")).json()["token"]
        others = (await second.get("/v1/me")).json()["token"]
        assert own["level"] == "read"
        assert (await alice.delete(f"/v1/tokens/{others['id']}")).status_code == 403
        assert (await alice.delete(f"/v1/tokens/{own['name']}")).status_code == 204
        assert (await alice.get("/v1/me")).status_code == 401
        assert (await second.get("/v1/me")).status_code == 200


async def test_a_certificate_names_the_caller_whatever_the_request_says(api: Api) -> None:
    token = await api.user("alice")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")])
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("podgate:user:admin")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(alternative, critical=False)
    csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    async with api.caller(token) as alice:
        answer = await alice.post("/v1/certificates", json={"csr": csr, "hours": 1})
    assert answer.status_code == 201, answer.text
    certificate = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["podgate:user:alice"]
    assert certificate.public_key() == key.public_key()
    assert [entry["what"] for entry in await api.audit(user="alice")] == ["issue certificate"]


async def test_no_secret_is_written_down(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = await api.user("alice", password=PASSWORD)
    login = (await api.nobody.post("/v1/login", json={"user": "alice", "password": PASSWORD})).json()["token"]
    wrong = "a wrong password"
    await api.nobody.post("/v1/login", json={"user": "alice", "password": wrong})
    await api.create()
    link = (await api.admin.post("/v1/pods/mydb/links", json={"level": "read", "password": PASSWORD})).json()["url"]
    forged = "pgt_" + "x" * 43
    async with api.caller(forged) as nobody:
        await nobody.get("/v1/me")
    stored = (api.settings.store.read_bytes()) + api.settings.store.with_name("controller.sqlite-wal").read_bytes()
    entries = json.dumps(await api.audit())
    for secret in (token, login, PASSWORD, wrong, link.rpartition("/")[2], forged):
        assert secret not in caplog.text
        assert secret not in entries
        assert secret.encode() not in stored
