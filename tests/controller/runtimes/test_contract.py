"""What holds for every runtime: the same tests, on processes of this machine and on Kubernetes.

No cluster can run here, so `kubernetes` stands for the double of its API with a kubelet that runs containers as plain
processes: what these tests show of it is our side of the talk, and no more.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
import trio

from controller.runtimes import Launch, RuntimeFailure, Stage
from tests.controller.runtimes.homes import LISTEN, PATIENCE, Living, life, new_home, only_life
from tests.controller.runtimes.kubernetes.cluster import cluster, cluster_life

World = Callable[[], AbstractAsyncContextManager[Living]]  # begins another life of a runtime on the same pods


@pytest.fixture(params=["process", "kubernetes"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "process":
        with new_home() as home:
            yield partial(life, home)
            async with only_life(home):
                pass
    else:
        async with cluster() as api:
            yield partial(cluster_life, api)


@pytest.fixture
async def living(world: World) -> AsyncIterator[Living]:
    async with world() as living:
        yield living


async def test_nothing_is_seen_where_nothing_is(living: Living) -> None:
    assert await living.runtime.observe() == {}


async def test_an_exit_is_told_with_status_and_last_line(living: Living) -> None:
    seen = await living.run_to_end("p1", "echo first; echo cannot find my hat >&2; exit 3")
    assert (seen.stage, seen.generation, seen.message) == (Stage.EXITED, 1, "exit status 3: cannot find my hat")
    assert await living.log("p1") == "first\ncannot find my hat\n"
    assert await living.log("p1", tail=1) == "cannot find my hat\n"


async def test_a_death_by_signal_is_told(living: Living) -> None:
    assert (await living.run_to_end("p1", "kill -9 $$")).message == "killed by signal 9"


async def test_a_pod_is_told_what_it_needs_and_nothing_of_ours(living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODGATE_TOKEN", "of the controller")
    await living.run_to_end("p1", "env", env_COLOUR="$(PORT) $$ red", env_POD_DATA="/elsewhere", env_LANG="de_DE.UTF-8")
    env = dict(line.split("=", 1) for line in (await living.log("p1")).splitlines())
    assert {name: env[name] for name in ("COLOUR", "LANG", "POD_NAME", "POD_DATABASE", "PARAM_DIRECTORY")} == {
        "COLOUR": "$(PORT) $$ red",
        "LANG": "de_DE.UTF-8",
        "POD_NAME": "my-p1",
        "POD_DATABASE": "",
        "PARAM_DIRECTORY": "",
    }
    assert {"HOME", "POD_DATA", "POD_RUN", "POD_TEMPLATE", "POD_LISTEN", "PATH"} <= env.keys()
    assert env["POD_DATA"] == env["HOME"] == env["PWD"] != "/elsewhere"
    assert not {"PODGATE_TOKEN", "SECRET_OWNER"} & env.keys()


async def test_launch_is_idempotent_per_generation(living: Living) -> None:
    command = "echo up; exec sleep 1000"
    await living.launch("p1", command=command)
    await living.until_wrote("p1", "up")
    await living.launch("p1", command=command)
    with pytest.raises(RuntimeFailure, match="still runs"):
        await living.launch("p1", generation=2, command=command)
    assert (await living.log("p1")).splitlines().count("up") == 1
    await living.end("p1")
    await living.launch("p1", command=command)
    assert (await living.runtime.observe())["p1"].stage is Stage.EXITED
    await living.launch("p1", generation=2, command=command)
    seen = (await living.runtime.observe())["p1"]
    assert (seen.stage, seen.generation) == (Stage.STARTING, 2) or seen.stage is Stage.READY


async def test_run_is_emptied_and_data_is_kept(living: Living) -> None:
    await living.run_to_end("p1", 'touch kept "$POD_RUN/dropped"')
    await living.launch("p1", generation=2, command='ls . "$POD_RUN"')
    await living.until_exited("p1", 2)
    assert "kept" in await living.log("p1")
    assert "dropped" not in await living.log("p1")


async def test_a_pod_that_listens_becomes_ready_where_it_says(living: Living) -> None:
    await living.launch("l1", "listener", command=LISTEN)
    host, _colon, port = (await living.until_ready("l1")).upstreams[""].rpartition(":")
    await (await trio.open_tcp_stream(host, int(port))).aclose()


async def test_a_pod_that_does_not_listen_does_not_become_ready(living: Living) -> None:
    await living.launch("l1", "listener", command="echo up; exec sleep 1000")
    await living.until_wrote("l1", "up")
    assert (await living.runtime.observe())["l1"].stage is Stage.STARTING


async def test_a_stop_is_seen_as_it_goes_on(living: Living) -> None:
    await living.launch("p1", command="trap 'echo going; exit 0' TERM; echo up; while true; do sleep 0.05; done")
    await living.until_wrote("p1", "up")
    await living.runtime.stop("p1", grace=2 * PATIENCE)
    assert (await living.runtime.observe())["p1"].stage in {Stage.STOPPING, Stage.EXITED}
    with trio.fail_after(PATIENCE):  # the grace is longer
        assert (await living.until_exited("p1")).message == "stopped"


async def test_who_ignores_a_stop_is_ended_after_its_grace(living: Living) -> None:
    await living.launch("p1", command="trap '' TERM; echo up; while true; do sleep 1; done")
    await living.until_wrote("p1", "up")
    await living.runtime.stop("p1", grace=1.0)
    assert (await living.runtime.observe())["p1"].stage is Stage.STOPPING
    assert (await living.until_exited("p1")).message == "stopped"


async def test_a_stop_right_after_the_launch_is_not_lost(living: Living) -> None:
    for number in range(1, 6):
        await living.launch(f"p{number}", command="exec sleep 1000")
        await living.runtime.stop(f"p{number}", grace=2 * PATIENCE)
    with trio.fail_after(PATIENCE):  # the grace is longer
        for number in range(1, 6):
            assert (await living.until_exited(f"p{number}")).message == "stopped"


async def test_a_stop_of_what_is_not_there_does_nothing(living: Living) -> None:
    await living.runtime.stop("p1", grace=1.0)
    assert await living.runtime.observe() == {}


async def test_what_ended_stays_as_it_is_when_it_is_stopped_again(living: Living) -> None:
    await living.launch("p1", command="exec sleep 1000")
    seen = await living.end("p1")
    await living.runtime.stop("p1", grace=1.0)
    assert (await living.runtime.observe())["p1"] == seen


async def test_a_running_pod_is_not_removed(living: Living) -> None:
    await living.launch("p1", command="echo up; exec sleep 1000")
    await living.until_wrote("p1", "up")
    with pytest.raises(RuntimeFailure, match="stop it before"):
        await living.runtime.remove("p1")


async def test_what_is_removed_is_gone_with_its_data(living: Living) -> None:
    await living.run_to_end("p1", "touch kept")
    await living.runtime.remove("p1")
    await living.until_gone("p1")
    await living.runtime.remove("p1")  # again: nothing to do
    await living.run_to_end("p1", "ls")
    assert await living.log("p1") == ""


async def test_a_followed_log_goes_on_with_the_next_start(living: Living) -> None:
    await living.launch("p1", command="echo first; exec sleep 1000")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(living.until_wrote, "p1", "second")
        await living.until_wrote("p1", "first")
        await living.end("p1")
        await living.launch("p1", generation=2, command="echo second; exec sleep 1000")


async def test_the_next_life_adopts(world: World) -> None:
    async with world() as first:
        await first.launch("l1", "listener", command=LISTEN)
        before = await first.until_ready("l1")
    async with world() as second:
        assert (await second.runtime.observe())["l1"] == before
        await second.launch("l1", "listener", command=LISTEN)
        assert (await second.end("l1")).message == "stopped"


async def test_the_next_life_sees_what_ended_between_the_lives(world: World) -> None:
    async with world() as first:
        await first.launch("p1", command="sleep 0.1; exit 4")
    async with world() as second:
        assert (await second.until_exited("p1")).message == "exit status 4"


@pytest.mark.parametrize(
    ("template", "parameters", "env", "reason"),
    [
        ("nosuch", {}, {}, "there is no template 'nosuch'"),
        ("web", {"colour": "red"}, {}, "colour: template web has no such parameter"),
        ("web", {}, {"A=B": "c"}, "env: 'A=B' cannot be set"),
        ("web", {}, {"A": "b\0c"}, "env: 'A' cannot be set"),
    ],
)
async def test_launches_that_are_refused(
    living: Living, template: str, parameters: dict[str, str], env: dict[str, str], reason: str
) -> None:
    with pytest.raises(RuntimeFailure, match=reason):
        await living.runtime.launch(Launch("p1", 1, "my-pod", template, 1, parameters, env))
