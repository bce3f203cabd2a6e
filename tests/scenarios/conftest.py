"""One Podgate with its three kinds of pods, shared by the scenarios that do not break it."""

from collections.abc import Iterator

import pytest

from tests.running import Pod, Podgate, running_podgate
from tests.scenarios.api import create, share
from tests.scenarios.databases import Way, into, owner_of
from tests.scenarios.people import add, make_token


@pytest.fixture(scope="session")
def podgate() -> Iterator[Podgate]:
    with running_podgate("--workers", "2") as running:
        yield running


@pytest.fixture(scope="session")
def database(podgate: Podgate) -> Pod:
    return podgate.create("mydb", "postgres")


@pytest.fixture(scope="session")
def vault(podgate: Podgate) -> Pod:
    """A database whose gateway asks who is there; anna manages it."""
    pod = create(podgate, "vault", "postgres", "read")
    share(podgate, "vault", add(podgate, "anna").name, "manage")
    return pod


@pytest.fixture(scope="session")
def public(podgate: Podgate, database: Pod) -> Way:
    """Into `database`, by its own password."""
    return owner_of(podgate, database)


@pytest.fixture(scope="session")
def closed(podgate: Podgate, vault: Pod) -> Way:
    """Into `vault`, by anna's token."""
    return into(podgate, vault, "anna", make_token(podgate, "postgres", "anna"))


@pytest.fixture(params=["public", "closed"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each of both: whatever is asked by it works alike."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Way)
    return found


@pytest.fixture(scope="session")
def graph(podgate: Podgate) -> Pod:
    return podgate.create("mygraph", "graph")


@pytest.fixture(scope="session")
def site(podgate: Podgate) -> Pod:
    return podgate.create("mysite", "web")
