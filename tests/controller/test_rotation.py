"""Passwords of a real Postgres pod become others while it is used: a real controller, and a gateway that follows it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import trio

from controller.runtimes.process import ProcessRuntime
from controller.service import run_controller
from controller.settings import Settings
from controller.store.store import Store
from controller.templates import load_templates
from router.access import AccessLevel
from router.database import Login
from router.model import Route
from router.snapshot import Routes, advance
from tests.controller.api.conftest import Lines
from tests.controller.runtimes.homes import new_home
from tests.controller.runtimes.postgres import refused, run, session
from tests.unixhttp import async_to_socket

PATIENCE = 60.0  # seconds until a test gives up
HOST = "mydb.pods.localhost"
LEVELS = {AccessLevel.OWNER: "owner", AccessLevel.WRITE: "write", AccessLevel.READ: "read"}


@dataclass
class Following:
    """What a gateway knows by now; it says so only when its `hold` is free."""

    socket: Path
    token: str
    api: httpx.AsyncClient
    routes: Routes = field(default_factory=Routes)
    changed: trio.Event = field(default_factory=trio.Event)
    hold: trio.Lock = field(default_factory=trio.Lock)

    async def run(self) -> None:
        async with await trio.open_unix_socket(self.socket) as stream:
            lines = Lines(stream, "/v1/routes/stream?replica=one", self.token)
            await lines.begin()
            while (line := await lines.next()) is not None:
                document = json.loads(line)
                if document["kind"] == "ping":
                    continue
                self.routes = advance(self.routes, document)
                self.changed.set()
                self.changed = trio.Event()
                async with self.hold:
                    version = self.routes.version
                    body = {"replica": "one", "epoch": version.epoch, "version": version.number}
                    with trio.CancelScope(shield=True):  # httpx leaves generators behind when it is cancelled
                        assert (await self.api.post("/v1/routes/ack", json=body)).status_code == 204

    @property
    def route(self) -> Route:
        found = self.routes.table.find(HOST)
        assert isinstance(found, Route)
        return found

    async def until_logins(self, count: int) -> None:
        while len(self.route.database.logins[AccessLevel.READ]) != count:
            await self.changed.wait()


@dataclass
class Life:
    """A controller that runs, its API, and a gateway."""

    api: httpx.AsyncClient
    gateway: Following

    async def pod(self, path: str = "") -> dict[str, Any]:
        answer = await self.api.get(f"/v1/pods/mydb{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def rotate(self) -> dict[str, Any]:
        answer = await self.api.post("/v1/pods/mydb/rotate")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @property
    def upstream(self) -> str:
        return str(self.gateway.route.upstreams[0])

    def passwords(self) -> dict[str, list[str]]:
        logins = self.gateway.route.database.logins
        return {LEVELS[level]: [login.password for login in several] for level, several in logins.items()}

    def enter(self, level: AccessLevel) -> str:
        """Log in as a gateway does; give the user, or why no login was taken."""
        reason = ""
        for login in self.gateway.route.database.logins[level]:
            reason = refused(self.upstream, LEVELS[level], login.password, "mydb", login.user)
            if not reason:
                return login.user
        return reason


@asynccontextmanager
async def life(home: Path) -> AsyncIterator[Life]:
    """Run a controller on a home; its pods go on when it ends."""
    settings = Settings(home, "pods.localhost", "127.0.0.1", 8443, home / "ca.pem")
    templates = load_templates()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            ready, over = trio.Event(), trio.Event()

            async def serving(_listening: Callable[[], object]) -> None:
                ready.set()
                await over.wait()

            nursery.start_soon(run_controller, settings, lambda: ProcessRuntime(home, templates), templates, serving)
            await ready.wait()
            token = (home / "admin.token").read_text().strip()
            async with httpx.AsyncClient(
                transport=async_to_socket(settings.socket), base_url="http://podgate",
                headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE,
            ) as api:  # fmt: skip
                following = Following(settings.socket, token, api)
                async with trio.open_nursery() as gateways:
                    gateways.start_soon(following.run)
                    yield Life(api, following)
                    gateways.cancel_scope.cancel()
            over.set()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with an available pod, which every test leaves as good as it was; it is removed in the end."""

    async def make() -> None:
        async with life(path) as first:
            made = await first.api.post("/v1/pods", json={"name": "mydb", "template": "postgres"})
            assert made.status_code == 201, made.text
            await first.pod(f"/wait?timeout={PATIENCE}")

    async def remove() -> None:
        async with life(path) as last:
            await last.api.delete("/v1/pods/mydb")
            await last.api.get(f"/v1/pods/mydb/wait?until=gone&timeout={PATIENCE}")

    with new_home() as path:
        trio.run(make)
        yield path
        trio.run(remove)


async def test_passwords_rotate_while_the_pod_is_used_and_no_login_fails(home: Path) -> None:
    outcomes: list[str] = []
    async with life(home) as living:
        before = await living.pod(f"/wait?timeout={PATIENCE}")
        with session(living.upstream, "write", living.passwords()["write"][0], "mydb") as held:
            run(held, "CREATE TEMPORARY TABLE t (id int)")

            async def keep_entering(scope: trio.CancelScope) -> None:
                with scope:
                    while True:
                        outcomes.extend(await trio.to_thread.run_sync(lambda: [*map(living.enter, LEVELS)]))

            async with trio.open_nursery() as nursery:
                scope = trio.CancelScope()
                nursery.start_soon(keep_entering, scope)
                await living.rotate()
                await living.rotate()
                after = await living.rotate()
                await living.gateway.until_logins(1)
                scope.cancel()
            assert run(held, "SELECT count(*) FROM t") == [(0,)], "who is in stays in"
        assert set(outcomes) == {"owner", "writer", "reader"}
        assert after["credentials"] == (await living.pod())["credentials"]
        old, new = ({each["password"] for each in pod["credentials"].values()} for pod in (before, after))
        assert len(new) == 3
        assert not old & new
        assert {level: [each["password"]] for level, each in after["credentials"].items()} == living.passwords()
        for level, each in before["credentials"].items():
            assert "password authentication failed" in refused(living.upstream, level, each["password"], "mydb")
        events = [event["kind"] for event in (await living.pod("/events"))["events"]]
        assert events[-2:] == ["rotate", "rotated"]
        (entry, *_) = (await living.api.get("/v1/audit")).json()["entries"]
        assert (entry["who"], entry["what"]) == ("admin", "rotate pod")


async def test_the_database_is_told_after_every_gateway_has_the_new_passwords(home: Path) -> None:
    async with life(home) as living:
        await living.pod(f"/wait?timeout={PATIENCE}")
        old = living.passwords()["read"][0]
        async with trio.open_nursery() as nursery:
            await living.gateway.hold.acquire()
            nursery.start_soon(living.rotate)
            await living.gateway.until_logins(2)
            assert living.passwords()["read"][0] == old
            assert refused(living.upstream, "read", old, "mydb") == ""
            assert "failed" in refused(living.upstream, "read", living.passwords()["read"][1], "mydb")
            living.gateway.hold.release()
        await living.gateway.until_logins(1)
        assert "failed" in refused(living.upstream, "read", old, "mydb")


async def test_a_rotation_that_was_cut_off_is_finished_by_the_next_life(home: Path) -> None:
    with Store(home / "controller.sqlite") as store:
        (pod,) = store.pods()
        pending = {"owner": "new-" + "o" * 20, "write": "new-" + "w" * 20, "read": "new-" + "r" * 20}
        store.set_secrets(replace(pod, pending=pending))
    async with life(home) as living:
        await living.pod(f"/wait?timeout={PATIENCE}")
        while living.passwords()["read"] != [pending["read"]]:
            await living.gateway.changed.wait()
        assert {level: [password] for level, password in pending.items()} == living.passwords()
        assert [living.enter(level) for level in LEVELS] == ["owner", "writer", "reader"]
    with Store(home / "controller.sqlite") as store:
        (pod,) = store.pods()
        assert pod.pending == {}
        assert {level: pod.secrets[level] for level in pending} == pending


@pytest.mark.parametrize("harm", ["PASSWORD 'x'", "SET local_preload_libraries = 'nope'", "SET statement_timeout = 1",
                                  "IN DATABASE mydb SET default_transaction_read_only = off"])  # fmt: skip
async def test_who_locks_the_others_out_is_undone(home: Path, harm: str) -> None:
    async with life(home) as living:
        await living.pod(f"/wait?timeout={PATIENCE}")
        with session(living.upstream, "read", living.passwords()["read"][0], "mydb") as reader:
            run(reader, f"BEGIN READ WRITE;; ALTER ROLE reader {harm};; COMMIT")
        await living.rotate()
        await living.gateway.until_logins(1)
        (login,) = living.gateway.route.database.logins[AccessLevel.READ]
        assert isinstance(login, Login)
        with session(living.upstream, "read", login.password, "mydb") as reader:
            assert run(reader, "SHOW statement_timeout") == [("0",)]
            assert run(reader, "SHOW default_transaction_read_only") == [("on",)]
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                run(reader, "CREATE TABLE t (id int)")


async def test_who_leaves_a_change_of_the_password_open_is_put_out_of_the_way(home: Path) -> None:
    async with life(home) as living:
        await living.pod(f"/wait?timeout={PATIENCE}")
        words = living.passwords()
        with (
            session(living.upstream, "read", words["read"][0], "mydb") as reader,
            session(living.upstream, "owner", words["owner"][0], "mydb") as owner,
        ):
            run(reader, "BEGIN READ WRITE;; ALTER ROLE reader PASSWORD 'mine'")
            run(owner, "BEGIN;; ALTER ROLE owner PASSWORD 'mine'")
            await living.rotate()
            for held in (reader, owner):
                with pytest.raises(psycopg.OperationalError):
                    run(held, "COMMIT")
        await living.gateway.until_logins(1)
        assert [living.enter(level) for level in LEVELS] == ["owner", "writer", "reader"]


@pytest.mark.parametrize("ending", ["COMMIT", "SELECT 1"])
async def test_who_takes_from_a_level_what_the_owner_makes_later_is_undone(home: Path, ending: str) -> None:
    make = "CREATE TABLE t{0} (id int);; CREATE FUNCTION f{0}() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    unmake = "DROP TABLE t0, t1;; DROP FUNCTION f0, f1;; ALTER ROLE owner RESET default_transaction_read_only"
    async with life(home) as living:
        await living.pod(f"/wait?timeout={PATIENCE}")
        words = living.passwords()
        with (
            session(living.upstream, "read", words["read"][0], "mydb") as reader,
            session(living.upstream, "write", words["write"][0], "mydb") as writer,
            session(living.upstream, "owner", words["owner"][0], "mydb") as owner,
        ):
            run(owner, make.format(0))
            run(writer, f"BEGIN;; DROP OWNED BY writer CASCADE;; {ending}")
            with suppress(psycopg.Error):  # the other may have it
                run(reader, f"BEGIN READ WRITE;; SET statement_timeout = 100;; DROP OWNED BY reader;; {ending}")
            run(owner, "ALTER ROLE owner SET default_transaction_read_only = on")
            await living.rotate()
            run(owner, make.format(1))
        await living.gateway.until_logins(1)
        words = living.passwords()
        with (
            session(living.upstream, "read", words["read"][0], "mydb") as reader,
            session(living.upstream, "write", words["write"][0], "mydb") as writer,
        ):
            for number in (0, 1):
                assert run(reader, f"SELECT * FROM t{number}") == []
                run(writer, f"INSERT INTO t{number} SELECT f{number}()")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    run(reader, f"SELECT f{number}()")
        with session(living.upstream, "owner", words["owner"][0], "mydb") as owner:
            run(owner, f"BEGIN READ WRITE;; {unmake};; COMMIT")


async def test_a_pod_that_is_stopped_or_has_no_keeper_is_not_rotated(home: Path) -> None:
    async with life(home) as living:
        await living.api.post("/v1/pods/mydb/stop")
        await living.pod(f"/wait?until=stopped&timeout={PATIENCE}")
        answer = await living.api.post("/v1/pods/mydb/rotate")
        assert (answer.status_code, answer.json()["detail"]) == (
            409, "pod 'mydb' is stopped; start it first: podgate pod start mydb",
        )  # fmt: skip
        with Store(home / "controller.sqlite") as store:
            assert store.pods()[0].pending == {}
        assert (await living.api.post("/v1/pods/nodb/rotate")).status_code == 404
        await living.api.post("/v1/pods/mydb/start")
        await living.pod(f"/wait?timeout={PATIENCE}")
