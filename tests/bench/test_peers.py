import json
import re
import tomllib
from pathlib import Path

import pytest

from bench.missing import Missing
from bench.peers.all import DIRECT, PEERS
from bench.peers.peer import HOST, Job, Mode, Peer
from bench.rounds import order
from router.routedocument import parse_route

EVERY = [(name, mode) for name, peer in PEERS.items() for mode in sorted(peer.modes)]


def job(mode: Mode, resumption: bool = False) -> Job:
    return Job(Path("/somewhere"), 20001, 20002, mode, resumption)


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_a_configuration_names_both_ports_and_the_certificate(name: str, mode: Mode) -> None:
    given = "\n".join([*PEERS[name].files(job(mode)).values(), *PEERS[name].arguments(job(mode))])
    assert "20001" in given
    assert "20002" in given
    assert re.search(r"/somewhere/(certificate|both)\.pem", given)


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_a_command_line_uses_only_files_of_its_own_directory(name: str, mode: Mode) -> None:
    peer, made = PEERS[name], PEERS[name].files(job(mode))
    used = [part for part in peer.arguments(job(mode)) if part.startswith("/somewhere/")]
    made_here = {f"/somewhere/{file}" for file in made}
    known = {"/somewhere/home", "/somewhere/certificate.pem", "/somewhere/key.pem", "/somewhere/nginx.err"}
    assert set(used) <= made_here | known
    assert set(used) & made_here


@pytest.mark.parametrize("mode", list(Mode))
def test_podgates_routes_file_is_one_it_accepts(mode: Mode) -> None:
    (document,) = tomllib.loads(PEERS["podgate"].files(job(mode))["routes.toml"])["route"]
    route = parse_route(document)
    assert (route.host, str(route.protocol), str(route.upstreams[0])) == (HOST, str(mode), "127.0.0.1:20002")


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [
        ("haproxy", "no-tls-tickets", "cachesize 20000"),
        ("nginx", "ssl_session_tickets off", "ssl_session_tickets on"),
        ("envoy", '"disable_stateless_session_resumption": true', '"disable_stateless_session_resumption": false'),
        ("traefik", '"disableSessionTickets": true', '"disableSessionTickets": false'),
    ],
)
def test_sessions_are_resumed_only_where_that_is_the_question(name: str, off: str, on: str) -> None:
    without, resuming = ("\n".join(PEERS[name].files(job(Mode.TCP, asked)).values()) for asked in (False, True))
    assert off in without
    assert on in resuming
    assert off not in resuming


@pytest.mark.parametrize(("name", "workers"), [("podgate", "1"), ("podgate-2", "2")])
def test_podgate_has_one_worker_unless_it_is_told_otherwise(name: str, workers: str) -> None:
    command = list(PEERS[name].arguments(job(Mode.TCP)))
    assert command[command.index("--workers") + 1] == workers


def test_traefik_offers_the_alpn_that_libpq_insists_on() -> None:
    routes = json.loads(PEERS["traefik"].files(job(Mode.POSTGRES))["routes.yml"])
    assert routes["tls"]["options"]["default"]["alpnProtocols"] == ["postgresql"]


def test_a_peer_that_is_not_installed_says_how_to_get_it() -> None:
    absent = Peer("x", "Xproxy", "no-such-program-x", "apt-get install x", frozenset(Mode), PEERS["envoy"].files,
                  PEERS["envoy"].arguments, lambda _program: "")  # fmt: skip
    with pytest.raises(Missing, match="Xproxy is not here: apt-get install x"):
        absent.find()


def test_every_peer_takes_every_place_in_the_order() -> None:
    peers = ["podgate", DIRECT, "haproxy", "nginx"]
    orders = [order(peers, run) for run in range(8)]
    assert all(sorted(one) == sorted(peers) for one in orders)
    assert orders[1] == orders[0][::-1]
    assert all({one[place] for one in orders} == set(peers) for place in range(len(peers)))
