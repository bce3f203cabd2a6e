"""How people prove who they are to a gateway: a token by SCRAM, bound to the certificate or not, in clear text where
they ask for that, or a client certificate.
"""

import json
from pathlib import Path

import psycopg
import pytest

from tests.running import Podgate, needs_resolver
from tests.scenarios.api import call, in_force
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.clients.pure import Pg8000
from tests.scenarios.clients.raw import SSL_REQUEST, VERSIONS, inside_tls, startup
from tests.scenarios.clients.spoken import NodePg
from tests.scenarios.databases import Way
from tests.scenarios.people import run_as
from tests.scenarios.test_postgres_matrix import node

REQUIRED = {"require_auth": "scram-sha-256", "channel_binding": "require"}


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("version", VERSIONS)
def test_channel_binding_is_kept_at_the_gateway(closed: Way, negotiation: str, version: str) -> None:
    with closed.connect(**REQUIRED, sslnegotiation=negotiation, ssl_max_protocol_version=version) as connection:
        assert connection.execute("select current_user").fetchone() == ("owner",)


@node
@needs_resolver
def test_channel_binding_of_node(closed: Way) -> None:
    client: Client = NodePg(closed, enableChannelBinding=True)
    assert client.ask("select current_user") == "owner"
    client.close()


def test_channel_binding_cannot_reach_through_the_gateway(public: Way) -> None:
    """The database's SCRAM passes, and it knows nothing of our certificate: libpq itself says what is missing."""
    with public.connect(require_auth="scram-sha-256") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="channel binding is required, but"):
        public.connect(**REQUIRED)


def test_a_token_in_clear_text_where_the_user_name_asks_for_it(closed: Way) -> None:
    with closed.connect(user="anna+password", require_auth="password") as connection:
        assert connection.execute("select current_user").fetchone() == ("owner",)
    with pytest.raises(psycopg.OperationalError, match="anna"):
        closed.with_password("wrong").connect(user="anna+password")


def test_a_client_certificate_takes_the_place_of_a_token(podgate: Podgate, closed: Way, tmp_path: Path) -> None:
    issued = json.loads(run_as(podgate, closed.password, "certificate", "issue", "--out", str(tmp_path), "--json"))
    shown = {"sslcert": issued["certificate"], "sslkey": issued["key"], "password": None, "require_auth": "none"}
    call(podgate, "PATCH", f"pods/{closed.database}/endpoints/default", certificates=True)
    in_force(podgate, closed.database)
    try:
        with closed.connect(**shown) as connection:
            assert connection.execute("select current_user").fetchone() == ("owner",)
        with pytest.raises(psycopg.OperationalError, match=r"certificate is for anna.*bob"):
            closed.with_user("bob").connect(**shown)
        with closed.connect() as connection:  # a token goes on being taken
            assert connection.execute("select current_user").fetchone() == ("owner",)
    finally:
        call(podgate, "PATCH", f"pods/{closed.database}/endpoints/default", certificates=False)
        in_force(podgate, closed.database)


def test_somebody_elses_token(closed: Way) -> None:
    with pytest.raises(SqlError, match=r"user .bob.") as refused:
        Pg8000(closed.with_user("bob"))
    assert refused.value.sqlstate == "28P01"


def test_a_gateway_shows_no_more_than_it_must(podgate: Podgate, closed: Way) -> None:
    """Of a user who is not there it asks the same as of one who is."""
    asked = []
    for user in ("anna", "nobody.of.that.name"):
        with inside_tls(closed, (SSL_REQUEST, b"S")) as tls:
            tls.sendall(startup(closed.with_user(user)))
            asked.append(tls.recv(4096))
    assert asked[0] == asked[1]
    assert closed.password not in podgate.log
