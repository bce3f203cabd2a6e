"""Nodes by Bolt: a query that returns many, by the official Neo4j driver, and by a client that only counts bytes.

Each sample is of a connection of its own: taken from its first packet (connect included), and from the moment it is
open and logged in (open connection).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import neo4j
import neo4j.exceptions

from bench.load.arcadedb_server import DATABASE, PASSWORD, USER, arcadedb
from bench.missing import Missing
from bench.paper import boltbytes
from bench.paper.backends import Login, Way
from bench.paper.plan import DRIVER
from bench.peers.peer import HOST

LABEL = "PodgateBenchNode"
BATCH = 20_000  # nodes made by one statement
MAKE = (
    f"UNWIND range($first, $last) AS n CREATE (:{LABEL} "
    "{number: n, name: 'node ' + toString(n), weight: n * 0.5, kind: 'sample', seen: true})"
)
COUNT = f"MATCH (n:{LABEL}) RETURN count(n) AS count"
QUERY = f"MATCH (n:{LABEL}) RETURN n LIMIT %d"
LEAST_BYTES = 40  # of a node
Failures = (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError, OSError)


class WrongAnswer(OSError):
    """What came is not what was asked for."""


@contextmanager
def database(directory: Path) -> Iterator[tuple[int, Login]]:
    """Run the database while the block runs; give its port and how to log in. Raises Missing."""
    try:
        socket.getaddrinfo(HOST, 80)  # the driver takes the server name from the URI's host
    except OSError:
        raise Missing(f"a resolver that knows {HOST}", "apt-get install libnss-myhostname") from None
    with arcadedb(directory) as port:
        yield port, Login(USER, PASSWORD, DATABASE)


def fill(way: Way, most: int) -> None:
    """Make nodes until there are as many as the largest question asks for; what is there stays."""
    with driver(way) as opened, opened.session(database=way.login.database or None) as session:
        there = session.run(COUNT).single(strict=True)["count"]
        for first in range(there, most, BATCH):
            session.run(MAKE, first=first, last=min(most, first + BATCH) - 1).consume()


def ask(way: Way, client: str, size: int) -> tuple[float, float]:
    """Ask for `size` nodes; give the seconds to an open connection, and from there to the last node."""
    return by_driver(way, size) if client == DRIVER else by_bytes(way, size)


def by_driver(way: Way, size: int) -> tuple[float, float]:
    """Ask as a program does, and take every node as the driver gives it."""
    began = time.perf_counter()
    with driver(way) as opened:
        opened.verify_connectivity()
        with opened.session(database=way.login.database or None) as session:
            connected = time.perf_counter()
            count = sum(1 for _record in session.run(QUERY % size))
            ended = time.perf_counter()
    if count != size:
        raise WrongAnswer(f"{count} nodes came, {size} were asked for")
    return connected - began, ended - connected


def by_bytes(way: Way, size: int) -> tuple[float, float]:
    """Ask for the same, and count what comes."""
    login = way.login
    began = time.perf_counter()
    with boltbytes.open_connection(
        (way.address, way.port), way.host, way.context(), (login.user, login.password)
    ) as connection:
        connected = time.perf_counter()
        count = boltbytes.ask(connection, QUERY % size, login.database)
        ended = time.perf_counter()
    if count < size * LEAST_BYTES:
        raise WrongAnswer(f"{count} bytes came, which cannot be {size} nodes")
    return connected - began, ended - connected


def driver(way: Way) -> neo4j.Driver:
    """Make a driver, which connects when it is used."""
    uri = way.uri or f"bolt://{way.host or way.address}:{way.port}"
    auth = (way.login.user, way.login.password)
    if way.ca is None:
        return neo4j.GraphDatabase.driver(uri, auth=auth)
    trusted = neo4j.TrustCustomCAs(str(way.ca))
    return neo4j.GraphDatabase.driver(uri, auth=auth, encrypted=True, trusted_certificates=trusted)
