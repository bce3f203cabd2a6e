"""A PostgreSQL server for stores that replicas share, started once."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from tests.databases import Server, server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A server that runs all the time; who stops one has one of their own."""
    with server() as running:
        yield running


@pytest.fixture
def database(postgres_server: Server) -> URL:
    """A database of the test's own."""
    return postgres_server.database()
