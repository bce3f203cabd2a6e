"""One Podgate with its three kinds of pods, shared by the scenarios that do not break it."""

from collections.abc import Iterator

import pytest

from tests.running import Pod, Podgate, running_podgate


@pytest.fixture(scope="session")
def podgate() -> Iterator[Podgate]:
    with running_podgate("--workers", "2") as running:
        yield running


@pytest.fixture(scope="session")
def database(podgate: Podgate) -> Pod:
    return podgate.create("mydb", "postgres")


@pytest.fixture(scope="session")
def graph(podgate: Podgate) -> Pod:
    return podgate.create("mygraph", "graph")


@pytest.fixture(scope="session")
def site(podgate: Podgate) -> Pod:
    return podgate.create("mysite", "web")
