"""What a pod does on purpose to those who run it, or to its neighbours."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.runtimes.readiness import Check, answers, listens
from controller.runtimes.records import PodDirectory, remove_tree
from tests.controller.runtimes.homes import Living, a_mark, new_home, only_life, processes_with

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="pods have users of their own only when root runs them")


@pytest.fixture
async def living() -> AsyncIterator[Living]:
    with new_home() as home:
        async with only_life(home) as running:
            yield running


@root_only
async def test_one_that_names_another_run_directory_is_still_found(living: Living) -> None:
    """The variable by which leftovers are told apart is the pod's own to set: it must not save anybody."""
    mark = a_mark()
    lie = f"env POD_RUN=/made/up setsid sleep {mark} & echo up; sleep {mark}; true"
    await living.launch("p1", command=lie)
    await living.until_wrote("p1", "up")
    os.kill(living.shim_of("p1"), signal.SIGKILL)
    await living.until_exited("p1")
    assert processes_with(mark) == []


@root_only
async def test_a_store_that_counts_anew_gives_no_two_pods_one_user(living: Living) -> None:
    await living.run_to_end("p1", "id -u")
    await living.run_to_end("again1", "id -u")
    assert (await living.log("p1")) != (await living.log("again1"))


def test_a_port_counts_only_if_its_listener_is_the_pods_user() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check = Check("tcp", f"127.0.0.1:{listener.getsockname()[1]}")
        assert listens(check, os.geteuid())
        assert not listens(check, os.geteuid() + 1)
        assert listens(check, None)


async def test_the_probe_follows_no_link_in_place_of_a_socket() -> None:
    """A controller that is root must not be led to a socket of the pod's choice."""
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    with socket.socket(socket.AF_UNIX) as real:
        real.bind(str(place / "real"))
        real.listen()
        (place / "link").symlink_to(place / "real")
        assert await answers(Check("tcp", f"unix:{place / 'real'}"))
        assert not await answers(Check("tcp", f"unix:{place / 'link'}"))
    shutil.rmtree(place)


async def test_its_own_standard_output_can_be_opened_again(living: Living) -> None:
    await living.run_to_end("p1", "echo by name > /dev/stdout")
    assert await living.log("p1") == "by name\n"


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(tree)
    assert not tree.exists()


@pytest.mark.parametrize("record", ['{"generation": 1}', '{"checks": 5}', '{"checks": [{"odd": 1}], "ports": []}'])
def test_a_damaged_record_is_one_pods_trouble(tmp_path: Path, record: str) -> None:
    (tmp_path / "pod.json").write_text(record)
    assert PodDirectory(tmp_path).launched() is None
