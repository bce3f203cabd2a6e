"""Followed logs: whatever ends an answer, lines are neither lost nor told twice, and it ends with the pod."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from controller.runtimes import RuntimeFailure
from controller.runtimes.kubernetes import following
from controller.runtimes.kubernetes.runtime import KubernetesRuntime
from controller.runtimes.kubernetes.stamped import MISSING
from tests.controller.runtimes.homes import PATIENCE, Living
from tests.controller.runtimes.kubernetes.answering import Fault
from tests.controller.runtimes.kubernetes.apiserver import ApiServer, now
from tests.controller.runtimes.kubernetes.cluster import cluster_life

LOG = "pg-p1-0/pod"


class Reader:
    """Follows a pod's log and keeps what it was given."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = trio.Event()
        self._more = trio.Event()

    async def follow(self, living: Living, tail: int) -> None:
        lines = cast(AsyncGenerator[bytes], living.runtime.logs("p1", tail, follow=True))
        async with aclosing(lines):
            async for data in lines:
                self.text += data.decode()
                self._more.set()
                self._more = trio.Event()
        self.ended.set()

    async def until(self, text: str) -> None:
        with trio.fail_after(PATIENCE):
            while text not in self.text:
                await self._more.wait()


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with ApiServer().serving() as api:
        yield api


@pytest.fixture
async def living(api: ApiServer) -> AsyncIterator[Living]:
    async with cluster_life(api) as living:
        await living.launch("p1")
        started(api)
        yield living


@asynccontextmanager
async def reading(living: Living, tail: int = 1000) -> AsyncIterator[Reader]:
    reader = Reader()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.follow, living, tail)
        yield reader
        nursery.cancel_scope.cancel()


def show(api: ApiServer, restarts: int, container: str = "containerStatuses", **state: object) -> None:
    pod = api.get("pods", "pg-p1-0")
    name = "pod" if container == "containerStatuses" else "prepare"
    pod["status"] |= {"phase": "Running", container: [{"name": name, "restartCount": restarts, **state}]}
    api.put("pods", pod)


def started(api: ApiServer, restarts: int = 0) -> None:
    api.begin_log(LOG)
    show(api, restarts, state={"running": {}})


def ended(api: ApiServer, restarts: int = 0) -> None:
    show(api, restarts, state={"terminated": {"exitCode": 0, "finishedAt": now()}})


def asked(api: ApiServer) -> list[str]:
    return [request for request in api.requests if "/log?" in request]


async def until_asked(api: ApiServer, times: int) -> None:
    with trio.fail_after(PATIENCE):
        while len(asked(api)) < times:
            await trio.lowlevel.checkpoint()


async def break_off(api: ApiServer, reader: Reader) -> None:
    """Tell a line, end the answer, and refuse the next."""
    api.write(LOG, b"one\n")
    await reader.until("one\n")
    api.faults.append(Fault(500, part="/log?"))
    await api.end_streams()
    await until_asked(api, 2)


async def test_a_server_that_ends_the_answer_is_asked_again(api: ApiServer, living: Living) -> None:
    async with reading(living) as reader:
        for number in range(5):
            api.write(LOG, b"line %d\n" % number)
            await reader.until(f"line {number}\n")
            await api.end_streams()
        api.write(LOG, b"last\n")
        await reader.until("last\n")
    assert reader.text == "".join(f"line {number}\n" for number in range(5)) + "last\n"


async def test_a_server_that_breaks_off_in_a_line_is_asked_again(api: ApiServer, living: Living) -> None:
    api.write(LOG, b"first\nsecond\n")
    (line, stamp) = api.logs[LOG].marks[0]
    assert line == 0
    api.faults.append(Fault(body=f"{stamp} first\n{stamp} sec".encode(), part="/log?", cut=True))
    async with reading(living) as reader:
        await reader.until("second\n")
        api.write(LOG, b"third\n")
        await reader.until("third\n")
    assert reader.text == "first\nsecond\nthird\n"
    assert "sinceTime=" in asked(api)[1]


async def test_a_log_that_was_empty_when_it_broke_off_loses_nothing(api: ApiServer, living: Living) -> None:
    async with reading(living, tail=1) as reader:
        await trio.testing.wait_all_tasks_blocked(0.01)
        await api.end_streams()
        api.write(LOG, b"one\ntwo\nthree\n")
        await reader.until("three\n")
    assert reader.text == "one\ntwo\nthree\n"


async def test_a_kubelet_that_is_away_is_waited_for(
    api: ApiServer, living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "TOLD_AFTER", 0.25)
    api.write(LOG, b"before\n")
    message = json.dumps({"message": "dial tcp 10.0.0.1:10250: connection refused"}).encode()
    async with reading(living) as reader:
        await reader.until("before\n")
        api.faults += [Fault(status, message, part="/log?") for status in (500, 502, 503, 504, 429)]
        begin = trio.current_time()
        await api.end_streams()
        await until_asked(api, 2)
        api.write(LOG, b"meanwhile\n")
        await reader.until("meanwhile\n")
    assert trio.current_time() - begin > 1.0  # ever later: 0.1 s, 0.2, 0.4 …
    before, told, after = reader.text.splitlines()
    assert (before, after) == ("before", "meanwhile")
    assert told.startswith("podgate: the pod's log cannot be read now: the cluster is too busy or ill: dial tcp")
    assert told.endswith("it is tried again")
    assert len(asked(api)) == 7


async def test_credentials_that_ended_are_renewed_on_the_way(api: ApiServer, living: Living) -> None:
    api.faults.append(Fault(401, part="/log?"))
    api.write(LOG, b"told\n")
    async with reading(living) as reader:
        await reader.until("told\n")


async def test_what_is_not_allowed_is_told_at_once(api: ApiServer, living: Living) -> None:
    api.faults.append(Fault(403, b'{"message": "pods/log is forbidden"}', part="/log?"))
    with pytest.raises(RuntimeFailure, match="log cannot be read: the cluster does not let us: pods/log is forbidden"):
        await Reader().follow(living, 10)
    assert len(asked(api)) == 1


async def test_what_a_rotation_took_away_is_said_to_be_missing(api: ApiServer, living: Living) -> None:
    async with reading(living) as reader:
        api.write(LOG, b"old\n")
        await reader.until("old\n")
        api.rotate(LOG)
        api.write(LOG, b"new\n")
        await reader.until("new\n")
    assert reader.text == f"old\n{MISSING.decode()}new\n"


async def test_the_rest_of_a_start_is_given_before_the_next(api: ApiServer, living: Living) -> None:
    """The answer broke off, and before it could be asked for again the container had been started again."""
    async with reading(living) as reader:
        await break_off(api, reader)
        api.write(LOG, b"two\nwithout an end")
        started(api, restarts=1)
        api.write(LOG, b"three\n")
        await reader.until("three\n")
    assert reader.text == "one\ntwo\nwithout an endthree\n"
    assert any("previous=true" in request for request in asked(api))


async def test_a_start_that_nobody_has_any_more_is_said_to_be_missing(api: ApiServer, living: Living) -> None:
    async with reading(living) as reader:
        await break_off(api, reader)
        started(api, restarts=2)
        api.write(LOG, b"three\n")
        await reader.until("three\n")
    assert reader.text == f"one\n{MISSING.decode()}three\n"


async def test_the_preparation_s_log_is_read_to_its_end(api: ApiServer) -> None:
    async with cluster_life(api) as living:
        await living.launch("p1")
        show(api, 0, "initContainerStatuses", state={"running": {}})
        api.write("pg-p1-0/prepare", b"preparing\n")
        async with reading(living) as reader:
            await reader.until("preparing\n")
            api.faults.append(Fault(500, part="/log?"))
            await api.end_streams()
            await until_asked(api, 2)
            api.write("pg-p1-0/prepare", b"prepared\n")
            show(api, 0, "initContainerStatuses", state={"terminated": {"exitCode": 0}})
            started(api)
            api.write(LOG, b"up\n")
            await reader.until("up\n")
        assert reader.text == "preparing\nprepared\nup\n"


async def test_a_restarted_pod_s_log_goes_on_with_its_next_start(api: ApiServer, living: Living) -> None:
    async with reading(living) as reader:
        api.write(LOG, b"one\n")
        await reader.until("one\n")
        ended(api)
        started(api, restarts=1)
        api.write(LOG, b"two\n")
        await reader.until("two\n")
        api.drop("pods", "pg-p1-0")  # another in its place, of the same StatefulSet
        started(api)
        api.write(LOG, b"three\n")
        await reader.until("three\n")
    assert reader.text == "one\ntwo\nthree\n"


async def test_it_ends_with_the_pod(api: ApiServer, living: Living) -> None:
    async with reading(living) as reader:
        api.write(LOG, b"bye\n")
        await reader.until("bye\n")
        await living.runtime.stop("p1", 1.0)
        api.drop("pods", "pg-p1-0")
        await living.until_exited("p1")
        await living.runtime.remove("p1")
        with trio.fail_after(PATIENCE):
            await reader.ended.wait()
    assert reader.text == "bye\n"


async def test_a_log_that_is_whole_is_not_asked_for_again(api: ApiServer, living: Living) -> None:
    api.write(LOG, b"bye\n")
    async with reading(living) as reader:
        await reader.until("bye\n")
        ended(api)
        show(api, 0, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 0}})
        await until_asked(api, 2)  # once more: an answer may have ended for another reason
        for _ in range(20):  # whatever else happens
            show(api, 0, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 0}})
            await trio.testing.wait_all_tasks_blocked(0.005)
    assert len(asked(api)) == 2
    assert reader.text == "bye\n"


async def test_who_stops_reading_leaves_nothing_behind(api: ApiServer, living: Living) -> None:
    assert isinstance(living.runtime, KubernetesRuntime)
    async with reading(living) as reader, reading(living):
        ended(api)
        api.write(LOG, b"bye\n")
        await reader.until("bye\n")
        with trio.fail_after(PATIENCE):
            while not living.runtime._waiting:
                await trio.lowlevel.checkpoint()
    assert living.runtime._waiting == {}
