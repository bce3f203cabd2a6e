"""The ways in: TLS versions, what comes before TLS, clients that do not say in TLS which pod they want; and what wrong
keys for cancelling do, which is nothing.
"""

import threading

import psycopg
import pytest

from tests.running import PATIENCE
from tests.scenarios.clients.driven import SqlError
from tests.scenarios.clients.libpq import Psycopg
from tests.scenarios.clients.pure import Pg8000, Refused
from tests.scenarios.clients.raw import (
    CANCEL,
    GSS_REQUEST,
    SSL_REQUEST,
    VERSIONS,
    connected,
    inside_tls,
    log_in,
    startup,
)
from tests.scenarios.databases import Watcher, Way
from tests.scenarios.test_postgres_matrix import is_cancelled


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("requests", [(SSL_REQUEST,), (GSS_REQUEST, SSL_REQUEST)], ids=["ssl", "gss-then-ssl"])
def test_starttls(way: Way, version: str, requests: tuple[bytes, ...]) -> None:
    answers = {SSL_REQUEST: b"S", GSS_REQUEST: b"N"}
    with inside_tls(way, *((request, answers[request]) for request in requests), version=version) as tls:
        assert tls.version() == version
        tls.sendall(startup(way))
        assert tls.recv(1) == b"R"  # a question how the client logs in


def test_plaintext_is_refused_in_protocol(way: Way) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"(?s)encrypted connections only.*HINT: .*sslmode"):
        way.connect(sslmode="disable")


def test_a_newer_protocol_is_negotiated(way: Way) -> None:
    """A minor version and an option that no server knows yet: it says which it does know, and the login goes on."""
    with inside_tls(way, (SSL_REQUEST, b"S")) as tls:
        tls.sendall(startup(way, minor=99, **{"_pq_.unheard_of": "on"}))
        seen = log_in(tls, way)
    newest, unknown, name = seen[b"v"][:4], seen[b"v"][4:8], seen[b"v"][8:]
    assert (newest[-2:], unknown, name) == (b"\0\x02", b"\0\0\0\x01", b"_pq_.unheard_of\0")
    process_id, secret = seen[b"K"][:4], seen[b"K"][4:]
    assert process_id != bytes(4)
    assert len(secret) >= 16  # the long keys of 3.2


@pytest.mark.parametrize("safe", [True, False], ids=["with-tls", "without-tls"])
@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_protocol_versions_and_their_keys(way: Way, version: str, safe: bool) -> None:
    client = Psycopg(way, safe=safe, min_protocol_version=version, max_protocol_version=version)
    try:
        assert client.connection.pgconn.full_protocol_version == int(version.replace(".", "000"))
        for _ in range(4):  # either worker is asked, and the session is one's
            is_cancelled(client, way)
        (pid,) = client.connection.execute("select pg_backend_pid()").fetchone() or (0,)
        assert (pid == client.connection.info.backend_pid) == (version == "3.2")
    finally:
        client.close()


# ---- clients that do not say in TLS where they want to go

WITHOUT_NAME = {"host": "127.0.0.1", "sslsni": "0", "sslmode": "verify-ca"}


@pytest.mark.parametrize("options", ["-c podgate.pod={}", "-cpodgate.pod={}", "endpoint={}", "-c jit=off endpoint={}"])
def test_the_pod_is_named_in_the_options(way: Way, options: str) -> None:
    with way.connect(**WITHOUT_NAME, options=options.format(way.database)) as connection:
        assert connection.execute("select current_database()").fetchone() == (way.database,)


@pytest.mark.parametrize("host", ["{}", "{}.pods.localhost"], ids=["pod", "host"])
def test_the_pod_is_named_with_the_user(way: Way, host: str) -> None:
    with way.connect(**WITHOUT_NAME, user=f"{way.user}@{host.format(way.database)}") as connection:
        assert connection.execute("select current_user").fetchone() == ("owner",)


def test_a_client_without_a_name_is_cancelled(way: Way) -> None:
    """Its key says whose it is: a cancel request has no options."""
    for safe in (True, False):
        client = Psycopg(way, safe=safe, **WITHOUT_NAME, options=f"endpoint={way.database}")
        is_cancelled(client, way)
        client.close()


def test_without_any_name_the_error_names_the_fix(public: Way) -> None:
    with pytest.raises(Refused, match="which pod") as refused:
        Pg8000(public, address="127.0.0.1")
    assert refused.value.sqlstate == "08004"
    assert all(word in refused.value.hint for word in ("host name", "podgate.pod=", "@"))
    with pytest.raises(psycopg.OperationalError, match=r"(?s)which pod.*HINT: .*podgate\.pod="):
        public.connect(**WITHOUT_NAME)


def test_a_pod_named_wrongly(public: Way) -> None:
    with pytest.raises(Refused, match=r"no pod behind nowhere\.pods\.localhost") as refused:
        Pg8000(public, address="127.0.0.1", options="endpoint=nowhere")
    assert (refused.value.sqlstate, "podgate pod list" in refused.value.hint) == ("3D000", True)


# ---- keys that are not right


@pytest.mark.parametrize("where", ["without-tls", "with-tls"])
def test_a_wrong_key_does_nothing(way: Way, where: str) -> None:
    client = Psycopg(way)
    pid = client.connection.info.backend_pid.to_bytes(4, "big")

    def wrong_then_right() -> None:
        watcher.sleeping("wrong_key")()
        for secret in (bytes(4), b"\xff" * 4):
            with connected(way) if where == "without-tls" else inside_tls(way, (SSL_REQUEST, b"S")) as peer:
                peer.sendall(CANCEL + pid + secret)
                assert peer.recv(1) == b""
        watcher.sleeping("wrong_key")()
        client.connection.cancel_safe(timeout=PATIENCE)

    with Watcher(way) as watcher:
        canceller = threading.Thread(target=wrong_then_right)
        canceller.start()
        with pytest.raises(SqlError) as cancelled:
            client.ask("select pg_sleep(60) as wrong_key")
        canceller.join(PATIENCE)
    assert cancelled.value.sqlstate == "57014"
    client.close()


def test_a_key_of_a_session_that_has_ended_does_nothing(way: Way) -> None:
    before = way.connect()
    stale = before.pgconn.get_cancel()
    before.close()
    client = Psycopg(way)

    def stale_then_right() -> None:
        watcher.sleeping("stale_key")()
        stale.cancel()
        watcher.sleeping("stale_key")()
        client.connection.cancel_safe(timeout=PATIENCE)

    with Watcher(way) as watcher:
        canceller = threading.Thread(target=stale_then_right)
        canceller.start()
        with pytest.raises(SqlError) as cancelled:
            client.ask("select pg_sleep(60) as stale_key")
        canceller.join(PATIENCE)
    assert cancelled.value.sqlstate == "57014"
    client.close()
