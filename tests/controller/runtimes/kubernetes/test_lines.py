"""Credentials that are renewed while the controller runs: read again when they changed, or are not known any more."""

import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from controller.runtimes.kubernetes import lines
from controller.runtimes.kubernetes.access import Access, load_access, stamp_of
from controller.runtimes.kubernetes.client import Cluster, ClusterFailure
from controller.runtimes.kubernetes.settings import ClusterSettings
from tests.controller.runtimes.kubernetes.apiserver import ApiServer

POD = "/api/v1/namespaces/podgate/pods/a"
CONFIG: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Config", "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def official() -> None:
    pytest.importorskip("kubernetes", reason="pip install 'podgate[kubernetes]'")


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer().serving() as api:
        api.put("pods", {"metadata": {"name": "a"}, "spec": {}})
        api.token = "first"
        yield api


def write(file: Path, url: str, user: dict[str, Any], **cluster: str) -> None:
    """Write a kubeconfig, as it is written anew: whole, in place of the old."""
    content = {**CONFIG, "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
               "users": [{"name": "u", "user": user}]}  # fmt: skip
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(file)


def access_by(file: Path) -> Access:
    return load_access(ClusterSettings(kubeconfig=str(file)))


def look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it looked at each call whether a file changed."""
    monkeypatch.setattr(lines, "CREDENTIALS_LAST", 0.0)
    monkeypatch.setattr(lines, "READ_AGAIN_AFTER", 0.0)


async def test_a_token_that_is_replaced_in_the_kubeconfig_is_shown_from_then_on(api: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "config"
    write(file, api.url, {"token": "first"})
    async with Cluster(access_by(file)) as cluster:
        assert await cluster.get(POD) is not None
        write(file, api.url, {"token": "second"})
        api.token = "second"
        assert await cluster.get(POD) is not None  # by its first 401
    assert len(api.requests) == 3


async def test_a_file_that_changed_is_read_before_anybody_complains(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_again(monkeypatch)
    file, token = tmp_path / "config", tmp_path / "secrets" / "token"
    token.parent.mkdir()
    token.write_text("first")
    write(file, api.url, {"tokenFile": "secrets/token"})
    async with Cluster(access_by(file)) as cluster:
        assert await cluster.get(POD) is not None
        token.write_text("second")
        api.token = "second"
        assert await cluster.get(POD) is not None
    assert len(api.requests) == 2


async def test_a_service_account_s_token_is_read_again_at_once(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official client would show the old one for a minute more."""
    from kubernetes.config import incluster_config

    for name, text in (("token", "first"), ("ca.crt", "not looked at by http")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    host, port = api.url.removeprefix("http://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    read: Any = incluster_config.InClusterConfigLoader._set_config

    def by_http(self: Any, found: Any) -> None:
        read(self, found)
        found.host = api.url

    monkeypatch.setattr(incluster_config.InClusterConfigLoader, "_set_config", by_http)
    async with Cluster(load_access(ClusterSettings())) as cluster:
        assert await cluster.get(POD) is not None
        (tmp_path / "token").write_text("second")
        api.token = "second"
        assert await cluster.get(POD) is not None


async def test_a_program_is_asked_again_when_its_token_is_not_known(api: ApiServer, tmp_path: Path) -> None:
    file, token, program = tmp_path / "config", tmp_path / "token", tmp_path / "login"
    token.write_text("first")
    program.write_text(
        f"#!{sys.executable}\nimport json\n"
        f"status = {{'token': open({str(token)!r}).read()}}\n"
        "kind = {'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential'}\n"
        "print(json.dumps({**kind, 'status': status}))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    asked = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}
    write(file, api.url, {"exec": asked})
    async with Cluster(access_by(file)) as cluster:
        assert await cluster.get(POD) is not None
        token.write_text("second")
        api.token = "second"
        assert await cluster.get(POD) is not None


async def test_whoever_is_never_known_does_not_read_it_all_again_each_time(api: ApiServer, tmp_path: Path) -> None:
    read = 0

    def again() -> Access:
        nonlocal read
        read += 1
        return access

    file = tmp_path / "config"
    write(file, api.url, {"token": "wrong"})
    access = replace(access_by(file), again=again)
    async with Cluster(access) as cluster:
        for _ in range(5):
            with pytest.raises(ClusterFailure, match="does not know us"):
                await cluster.get(POD)
    assert (read, len(api.requests)) == (1, 10)


@pytest.mark.parametrize("text", ["{half", "", "[]", None])
async def test_what_cannot_be_read_again_leaves_what_there_was(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    look_again(monkeypatch)
    file = tmp_path / "config"
    write(file, api.url, {"token": "first"})
    async with Cluster(access_by(file)) as cluster:
        assert await cluster.get(POD) is not None
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        for _ in range(3):
            assert await cluster.get(POD) is not None
        assert caplog.text.count("new credentials cannot be used, so those from before are shown") == 1
        write(file, api.url, {"token": "second"})
        api.token = "second"
        assert await cluster.get(POD) is not None


async def test_a_kubeconfig_that_leads_elsewhere_by_now_is_not_followed(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_again(monkeypatch)
    file = tmp_path / "config"
    write(file, api.url, {"token": "first"})
    async with Cluster(access_by(file)) as cluster:
        assert await cluster.get(POD) is not None
        write(file, "http://127.0.0.1:9", {"token": "theirs"})
        assert await cluster.get(POD) is not None
    assert "they are for another cluster, http://127.0.0.1:9; if that is meant, start Podgate anew" in caplog.text


async def test_another_context_that_kubectl_uses_by_now_is_not_followed(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_again(monkeypatch)
    file = tmp_path / "config"
    write(file, api.url, {"token": "first"})
    async with Cluster(access_by(file)) as cluster:
        content = json.loads(file.read_text())
        content["contexts"].append({"name": "there", "context": {"cluster": "c", "user": "v"}})
        content["users"].append({"name": "v", "user": {"token": "theirs"}})
        file.write_text(json.dumps({**content, "current-context": "there"}))
        assert await cluster.get(POD) is not None
    assert len(api.requests) == 1


async def test_who_reads_on_an_old_line_is_not_cut_off(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_again(monkeypatch)
    file = tmp_path / "config"
    write(file, api.url, {"token": "first"})
    params = {"watch": "true", "resourceVersion": "0", "timeoutSeconds": "60"}
    async with Cluster(access_by(file)) as cluster:
        async with cluster.stream(POD.rpartition("/")[0], params, silence=None) as chunks:
            assert b"ADDED" in await anext(chunks)
            old = cluster._lines._line
            write(file, api.url, {"token": "second"})
            api.token = "second"
            assert await cluster.get(POD) is not None
            assert cluster._lines._line is not old
            api.put("pods", {"metadata": {"name": "b"}, "spec": {}})
            assert b'"b"' in await anext(chunks)
            assert not old.http.is_closed
        assert old.http.is_closed  # by the last who used it


# ---- client certificates


@asynccontextmanager
async def over_tls(api: ApiServer, ca: trustme.CA) -> AsyncIterator[tuple[str, list[str]]]:
    """Have the double ask for client certificates; give its address, and the names it was shown."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    shown: list[str] = []

    async def converse(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.do_handshake()
        shown.append(stream.getpeercert()["subject"][-1][0][1])
        await api.converse(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, converse, [trio.SSLListener(each, context) for each in listeners])
        port = listeners[0].socket.getsockname()[1]
        yield f"https://127.0.0.1:{port}", shown
        nursery.cancel_scope.cancel()


def issue(ca: trustme.CA, name: str, place: Path) -> None:
    made = ca.issue_cert(f"{name}.test", common_name=name)
    made.private_key_pem.write_to_path(place / "client.key")
    made.cert_chain_pems[0].write_to_path(place / "client.pem")


async def test_a_client_certificate_that_was_renewed_is_shown_by_new_connections(
    api: ApiServer, tmp_path: Path, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_again(monkeypatch)
    api.token = ""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    issue(ca, "before", tmp_path)
    file = tmp_path / "config"
    async with over_tls(api, ca) as (url, shown):
        user = {"client-certificate": "client.pem", "client-key": "client.key"}
        write(file, url, user, **{"certificate-authority": "ca.pem"})
        async with Cluster(access_by(file)) as cluster:
            assert await cluster.get(POD) is not None
            issue(ca, "after", tmp_path)
            assert await cluster.get(POD) is not None
            assert await cluster.get(POD) is not None
    assert shown == ["before", "after"]


def test_a_stamp_tells_of_each_way_a_file_becomes_another(tmp_path: Path) -> None:
    one, other, gone = tmp_path / "one", tmp_path / "other", tmp_path / "gone"
    one.write_text("a")
    stamps = {stamp_of([one, gone])}
    other.write_text("a")
    other.replace(one)  # another file
    stamps.add(stamp_of([one, gone]))
    one.write_text("ab")
    stamps.add(stamp_of([one, gone]))
    os.utime(one, (1, 1))
    stamps.add(stamp_of([one, gone]))
    gone.symlink_to(one)
    stamps.add(stamp_of([one, gone]))
    assert len(stamps) == 5
