"""Pods as process trees: what they are given, how they end, and that every crash leaves the truth behind."""

import json
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from controller.model import Pod
from controller.plan import Action, plan
from controller.runtimes import Launch, RuntimeFailure, Stage, process
from controller.runtimes.launching import LONGEST_SOCKET_PATH, user_of
from controller.runtimes.process import ProcessRuntime
from controller.runtimes.processes import end_leftovers
from controller.templates import load_templates
from router.access import AccessLevel
from tests.controller.runtimes.homes import (
    COMMAND,
    LISTEN,
    PATIENCE,
    Living,
    a_mark,
    life,
    new_home,
    only_life,
    processes_with,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="pods have users of their own only if we are root")


@pytest.fixture
async def living() -> AsyncIterator[Living]:
    with new_home() as home:
        async with only_life(home) as living:
            yield living


def make_full_file(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mknod(path, 0o600 | stat.S_IFCHR, Path("/dev/full").stat().st_rdev)


async def test_a_pod_gets_its_own_environment_and_nothing_of_ours(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODGATE_TOKEN", "of the controller")
    await living.run_to_end(
        "p1", "env", env_COLOUR="red", env_POD_DATA="/elsewhere", env_LANG="de_DE.UTF-8", env_PYTHONUNBUFFERED=""
    )
    env = dict(line.split("=", 1) for line in (await living.log("p1")).splitlines())
    pod = living.home / "pods" / "p1"
    assert env.pop("PWD") == str(pod / "data")
    env.pop("_", None)
    assert env == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(pod / "data"),
        "LANG": "de_DE.UTF-8",
        "PYTHONUNBUFFERED": "",
        "COLOUR": "red",
        "PARAM_COMMAND": "env",
        "PARAM_DIRECTORY": "",
        "POD_NAME": "my-p1",
        "POD_DATABASE": "",
        "POD_LISTEN": "",
        "POD_DATA": str(pod / "data"),
        "POD_RUN": str(pod / "run"),
        "POD_TEMPLATE": str(pod / "template"),
    }


async def test_a_pod_is_restrained(living: Living) -> None:
    await living.run_to_end(
        "p1", "umask; ulimit -c; ls /proc/self/fd | wc -l; grep -E '^(NoNewPrivs|CapEff|Groups):' /proc/self/status"
    )
    lines = [line.split() for line in (await living.log("p1")).splitlines()]
    # ls itself has its standard three and the directory open.
    assert lines[:3] == [["0077"], ["0"], ["4"]]
    assert ["NoNewPrivs:", "1"] in lines
    if os.geteuid() == 0:
        assert ["CapEff:", "0" * 16] in lines
        assert ["Groups:"] in lines


@root_only
async def test_pods_run_as_users_of_their_own_who_cannot_read_each_other(living: Living) -> None:
    await living.run_to_end("p1", "id -u; echo hidden > secret")
    secret = living.home / "pods" / "p1" / "data" / "secret"
    await living.run_to_end("p2", f"id -u; cat {secret} {living.home}/pods/p1/log; ls {living.home}/pods")
    first, second = await living.log("p1"), (await living.log("p2")).splitlines()
    assert int(second[0]) == int(first) + 1
    assert len(second) == 4
    assert all("Permission denied" in line for line in second[1:])


async def test_no_secret_is_ever_a_process_argument(living: Living) -> None:
    await living.launch("p1", command="exec sleep 1000")
    assert not processes_with("owner-oooo")
    environ = await trio.Path(f"/proc/{living.shim_of('p1')}/environ").read_text()
    assert "owner-oooo" not in environ


async def test_launch_is_idempotent_per_generation(living: Living) -> None:
    await living.launch("p1", command="exec sleep 1000")
    shim = living.shim_of("p1")
    await living.launch("p1", command="exec sleep 1000")
    assert living.shim_of("p1") == shim
    with pytest.raises(RuntimeFailure, match="still runs"):
        await living.launch("p1", generation=2, command="exec sleep 1000")
    await living.end("p1")
    await living.launch("p1", command="exec sleep 1000")
    assert (await living.runtime.observe())["p1"].stage is Stage.EXITED
    await living.launch("p1", generation=2, command="exec sleep 1000")
    assert (await living.runtime.observe())["p1"].stage is not Stage.EXITED


async def test_a_stop_ends_a_tree_that_ignores_it_and_has_left_its_session(living: Living) -> None:
    mark = a_mark()
    command = f"trap '' TERM; setsid sh -c \"trap '' TERM; setsid sleep {mark} & sleep {mark}\" & echo up; sleep {mark}"
    await living.launch("p1", command=command)
    await living.until_wrote("p1", "up")
    await living.runtime.stop("p1", grace=0.1)
    assert (await living.until_exited("p1")).message == "stopped"
    assert not processes_with(mark)


async def test_a_stop_is_heard_where_whoever_began_it_all_has_it_blocked() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        with new_home() as home:
            async with only_life(home) as living:
                await living.launch("p1", command="exec sleep 1000")
                await living.runtime.stop("p1", grace=2 * PATIENCE)
                with trio.fail_after(PATIENCE):  # the grace is longer
                    assert (await living.until_exited("p1")).message == "stopped"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


async def test_what_a_dead_process_leaves_is_ended_before_the_exit_is_told(living: Living) -> None:
    mark = a_mark()
    await living.run_to_end("p1", f"setsid sleep {mark} & exit 4")
    assert not processes_with(mark)


async def test_a_killed_shim_takes_its_tree_with_it(living: Living) -> None:
    mark = a_mark()
    await living.launch("p1", command=f"setsid sleep {mark} & echo up; sleep {mark}; true")
    await living.until_wrote("p1", "up")
    os.kill(living.shim_of("p1"), signal.SIGKILL)
    assert "shim was killed" in (await living.until_exited("p1")).message
    assert not processes_with(mark)
    await living.launch("p1", generation=2, command="exit 5")
    assert (await living.until_exited("p1", 2)).message.startswith("exit status 5")


@root_only
async def test_another_homes_pod_with_the_same_user_is_not_taken_for_a_leftover(living: Living) -> None:
    mark = a_mark()
    await living.launch("p1", command=f"exec sleep {mark}")
    await living.until_ready("p1")
    user = user_of(living.home, 1)
    await end_leftovers(user, Path("/another/home/pods/p1/run"))
    assert len(processes_with(mark)) == 1
    await end_leftovers(user, living.home / "pods" / "p1" / "run")
    assert processes_with(mark) == []


@root_only
async def test_a_process_that_hides_its_environment_is_still_its_users(living: Living) -> None:
    mark = a_mark()
    await living.launch("p1", command=f"env -i setsid sleep {mark} & echo up; sleep {mark}; true")
    await living.until_wrote("p1", "up")
    os.kill(living.shim_of("p1"), signal.SIGKILL)
    await living.until_exited("p1")
    assert processes_with(mark) == []


async def test_the_next_life_adopts_and_notices() -> None:
    with new_home() as home:
        async with life(home) as first:
            await first.launch("l1", "listener", command=LISTEN)
            before = await first.until_ready("l1")
            shim = first.shim_of("l1")
        async with only_life(home) as second:
            assert (await second.runtime.observe())["l1"] == before
            assert second.shim_of("l1") == shim
            os.kill(shim, signal.SIGKILL)
            await second.until_exited("l1")
            await second.launch("l1", "listener", generation=2, command=LISTEN)
            assert (await second.until_ready("l1")).upstreams != before.upstreams


async def test_the_next_life_sees_what_ended_between_the_lives() -> None:
    with new_home() as home:
        async with life(home) as first:
            await first.launch("p1", command="exec sleep 1000")
            await first.launch("p2", command="exec sleep 1000")
            shims = [first.shim_of("p1"), first.shim_of("p2")]
        descriptors = [os.pidfd_open(shim) for shim in shims]
        os.kill(shims[0], signal.SIGTERM)
        os.kill(shims[1], signal.SIGKILL)
        for descriptor in descriptors:
            await trio.lowlevel.wait_readable(descriptor)
            os.close(descriptor)
        async with life(home) as second:
            assert (await second.until_exited("p1")).message == "stopped"
            assert "shim was killed" in (await second.until_exited("p2")).message


async def test_another_process_with_the_shims_number_is_not_taken_for_it(living: Living) -> None:
    await living.run_to_end("p1", "true")
    record = living.home / "pods" / "p1" / "shim.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "pid": os.getpid()}))
    (living.home / "pods" / "p1" / "exit.json").unlink()
    async with life(living.home) as second:
        assert (await second.until_exited("p1")).stage is Stage.EXITED
        await second.runtime.stop("p1", grace=0.0)  # must not signal this test


async def test_a_port_somebody_took_is_given_up_at_the_next_start(living: Living) -> None:
    await living.launch("l1", template="listener", command=f'test -e "$POD_DATA/go" || exec sleep 1000; {LISTEN}')
    upstream = (await living.runtime.observe())["l1"].upstreams[""]
    host, port = upstream.rsplit(":", 1)
    with socket.create_server((host, int(port))):
        await living.end("l1")
        (living.home / "pods" / "l1" / "data" / "go").touch()
        await living.launch("l1", "listener", generation=2, command=LISTEN)
        assert (await living.until_ready("l1")).upstreams[""] != upstream


async def test_a_followed_log_survives_rotation_and_stays_bounded(living: Living) -> None:
    lines = 400_000  # of 53 bytes: more than two files hold
    filler = "x" * 44
    await living.launch("p1", command=f"yes {filler} | head -n {lines} | cat -n; echo; echo the end")
    await living.until_wrote("p1", "the end")
    await living.until_exited("p1")
    pod = living.home / "pods" / "p1"
    assert 0 < (pod / "log.1").stat().st_size <= 9 * 1024 * 1024
    assert (pod / "log").stat().st_size <= 9 * 1024 * 1024
    assert (await living.log("p1", tail=1)) == "the end\n"
    assert len((await living.log("p1", tail=200_000)).splitlines()) == 200_000


@root_only
async def test_a_full_disk_ends_neither_pod_nor_shim(living: Living) -> None:
    make_full_file(living.home / "pods" / "p1" / "log")
    assert (await living.run_to_end("p1", "yes | head -n 100000 && exit 6")).message == "exit status 6"


async def test_remove_follows_no_links_and_leaves_nothing(living: Living, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("here")
    await living.run_to_end("p1", f"ln -s {tmp_path} link; mkdir -p a/b; touch a/b/c; chmod 0 a/b a")
    await living.runtime.remove("p1")
    assert await living.runtime.observe() == {}
    assert list((living.home / "pods").iterdir()) == []
    assert (tmp_path / "precious").read_text() == "here"
    await living.runtime.remove("p1")  # again: nothing to do


async def test_an_interrupted_removal_is_finished_by_the_next_life(living: Living) -> None:
    await living.run_to_end("p1", "touch file")
    (living.home / "pods" / "p1").rename(living.home / "pods" / ".removed-p1")
    assert await ProcessRuntime(living.home, load_templates()).observe() == {}
    assert list((living.home / "pods").iterdir()) == []


async def test_a_launch_that_was_interrupted_before_its_first_record_is_no_end_of_the_pod(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_arguments: object) -> None:
        raise RuntimeFailure("as if the controller was killed here")

    with monkeypatch.context() as patched:
        patched.setattr(process, "_start_shim", killed)
        with pytest.raises(RuntimeFailure, match="killed here"):
            await living.launch("p1", generation=3)
    async with life(living.home) as other:
        seen = await other.until_exited("p1", 0)
        pod = Pod(1, "p1", "my-p1", "command", AccessLevel.READ, 0.0, generation=3)
        step = plan(pod, seen, now=100.0)
        assert (step.action, step.generation, step.status.restarts) == (Action.LAUNCH, 3, 0)
        await other.launch("p1", generation=3, command="exit 6")
        seen = await other.until_exited("p1", 3)
        assert seen.message.startswith("exit status 6")
        assert plan(pod, seen, now=100.0).status.restarts == 1


async def test_who_is_not_to_start_pods_any_more_does_not_after_all_preparation(living: Living) -> None:
    runtime = living.runtime
    assert isinstance(runtime, ProcessRuntime)

    async def followed() -> None:
        assert runtime._pods()["p1"].directory.alive(), "nobody else can start it at this moment"
        raise RuntimeFailure("another controller leads")

    mark = a_mark()
    launch = Launch("p1", 1, "my-pod", "command", 1, {"command": f"exec sleep {mark}"})
    with pytest.raises(RuntimeFailure, match="another controller leads"):
        await living.runtime.launch(replace(launch, confirm=followed))
    assert processes_with(mark) == []
    async with life(living.home) as other:
        await other.launch("p1", command="exit 3")
        await other.until_exited("p1")
    await living.runtime.launch(launch)  # which the other has seen to
    assert processes_with(mark) == []
    assert (await living.until_exited("p1")).message.startswith("exit status 3")


async def test_a_home_too_deep_for_a_socket_is_refused(living: Living) -> None:
    deep = living.home / ("d" * (LONGEST_SOCKET_PATH - len(str(living.home)) - len("//pods/p1/run/.s.PGSQL.5432") + 1))
    deep.mkdir()
    deep.chmod(0o711)
    with pytest.raises(RuntimeFailure, match=r"1 bytes too long.*choose a shorter home"):
        await ProcessRuntime(deep, load_templates()).launch(Launch("p1", 1, "my-pod", "postgres", 1))


@root_only
async def test_a_home_pods_users_cannot_enter_is_told_at_the_start_and_in_the_pods_log(
    living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    closed = living.home / "closed"
    (closed / "home").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "home").chmod(0o711)
    reason = f"cannot enter {closed}; run 'chmod o+x {closed}' or choose another home (--home or PODGATE_HOME)"
    async with life(closed / "home") as other:
        await trio.testing.wait_all_tasks_blocked()
        assert reason in caplog.text
        with pytest.raises(RuntimeFailure, match="cannot enter"):
            await other.launch("p1")
        assert reason in await other.log("p1")


async def test_what_preparing_the_software_wrote_is_in_the_pods_log(living: Living) -> None:
    script = living.home / "make.sh"
    script.write_text("echo copying; echo no room >&2; exit 1")
    runtime = ProcessRuntime(living.home, {"command": replace(COMMAND, cache=str(script))})
    with pytest.raises(RuntimeFailure, match="preparing the software failed: no room"):
        await runtime.launch(Launch("p1", 1, "my-pod", "command", 1))
    assert await living.log("p1") == "copying\nno room\npodgate: preparing the software failed: no room\n"
