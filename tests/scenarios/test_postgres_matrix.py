"""Every client in both modes: it verifies the certificate, asks, errs, goes on, is cancelled, and is told of a wrong
password. Whatever a client does in its own way is in clients/.
"""

import itertools
import shutil
import time
from collections.abc import Callable

import pytest

from tests.running import needs_resolver
from tests.scenarios.clients.asynchronous import Asyncpg
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.clients.libpq import AsyncPsycopg, Psycopg
from tests.scenarios.clients.pure import Pg8000
from tests.scenarios.clients.spoken import JDBC, NODE_MODULES, Jdbc, NodePg
from tests.scenarios.clients.terminal import Psql
from tests.scenarios.databases import SOON, Watcher, Way

_marks = (f"sleeper_{number}" for number in itertools.count())
setsid = pytest.mark.skipif(shutil.which("setsid") is None, reason="needs setsid (util-linux)")
psql = pytest.mark.skipif(
    not (shutil.which("psql") and shutil.which("setsid")), reason="needs psql and setsid: deploy/client-packages.sh"
)
node = pytest.mark.skipif(not NODE_MODULES.exists(), reason="needs node.js' pg: deploy/client-packages.sh")
jdbc = pytest.mark.skipif(not JDBC.exists(), reason="needs libpostgresql-jdbc-java: deploy/client-packages.sh")
libpq = [
    pytest.param(Psql, id="psql", marks=psql),
    pytest.param(lambda way: Psql(way, newest=True), id="psql-18", marks=setsid),
    pytest.param(Psycopg, id="psycopg"),
    pytest.param(lambda way: Psycopg(way, sslnegotiation="direct"), id="psycopg-direct"),
    pytest.param(AsyncPsycopg, id="psycopg-async"),
]
others = [
    pytest.param(Asyncpg, id="asyncpg", marks=needs_resolver),
    pytest.param(lambda way: Asyncpg(way, direct=True), id="asyncpg-direct", marks=needs_resolver),
    pytest.param(Pg8000, id="pg8000", marks=needs_resolver),
    pytest.param(NodePg, id="node", marks=[node, needs_resolver]),
    pytest.param(Jdbc, id="jdbc", marks=[jdbc, needs_resolver]),
]
variants = [  # of clients above, in what concerns the opening and the cancel request
    pytest.param(lambda way: Psycopg(way, safe=False), id="psycopg-cancel-without-tls"),
    pytest.param(lambda way: Psycopg(way, max_protocol_version="latest"), id="psycopg-3.2"),
    pytest.param(
        lambda way: Psycopg(way, safe=False, max_protocol_version="latest"), id="psycopg-3.2-cancel-without-tls"
    ),
    pytest.param(lambda way: Psycopg(way, ssl_max_protocol_version="TLSv1.2"), id="psycopg-tls1.2"),
    pytest.param(lambda way: NodePg(way, sslnegotiation="direct"), id="node-direct", marks=[node, needs_resolver]),
]


@pytest.mark.parametrize("connect", libpq + others + variants)
def test_it_asks_errs_goes_on_and_is_cancelled(connect: Callable[[Way], Client], way: Way) -> None:
    client = connect(way)
    try:
        assert client.ask("select 6 * 7") == "42"
        with pytest.raises(SqlError) as divided:
            client.ask("select 1 / 0")
        assert divided.value.sqlstate == "22012"
        assert "division by zero" in divided.value.message
        assert client.ask("select current_user") == "owner"
        if not isinstance(client, Pg8000):
            is_cancelled(client, way)
        assert client.ask("select current_database()") == way.database
    finally:
        client.close()


def is_cancelled(client: Client, watched: Way) -> None:
    """Cancel a long sleep; it is `watched` by another way than the client's own."""
    mark = next(_marks)
    with Watcher(watched) as watcher:
        began = time.monotonic()
        with pytest.raises(SqlError) as cancelled:
            client.interrupt(f"select pg_sleep(60) as {mark}", watcher.sleeping(mark))
        assert cancelled.value.sqlstate == "57014"
        assert time.monotonic() - began < SOON
        watcher.wait_until_over(mark)


@pytest.mark.parametrize("connect", libpq + others)
def test_a_wrong_password_is_told(connect: Callable[[Way], Client], way: Way) -> None:
    with pytest.raises(SqlError, match=rf"password.* user ['\"]{way.user}['\"]") as refused:
        connect(way.with_password("pgt_" + "x" * 43))
    assert refused.value.sqlstate in ("28P01", "")  # libpq tells no SQLSTATE of a login
