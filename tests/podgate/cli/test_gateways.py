"""`podgate gateways`: what is shown of each, and the tokens of those elsewhere."""

import re
import sys
from typing import Any

import pytest

from podgate.cli.output import fitting
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import SINCE, Controller
from tests.podgate.cli.real import Real


def gateway(**facts: Any) -> dict[str, Any]:
    return {
        "replica": "gw-1", "epoch": "e", "version": 7, "current": True, "lag_versions": 0, "lag_seconds": 0.0,
        "workers": 4, "since": SINCE, "rejected": [], "links": 12, "openings": 3, "draining": False,
        "address": "192.0.2.7", "listens": ["10.0.0.1:443", "10.0.0.1:80"], "number": 1, "software": "0.1.0", **facts,
    }  # fmt: skip


def test_each_gateway_is_a_line(run: Run, controller: Controller) -> None:
    found = [
        gateway(),
        gateway(replica="gw-2", current=False, version=4, lag_versions=3, lag_seconds=1.25),
        gateway(replica="gw-3", draining=True, listens=[], address=""),
    ]
    controller.answers["GET /v1/gateways"] = [(200, {"epoch": "e", "version": 7, "gateways": found})]
    shown = [line.split() for line in run("gateways").out.splitlines()]
    assert shown[0] == ["NAME", "STATE", "VERSION", "LAG", "LINKS", "OPENINGS", "WORKERS", "LISTENS", "FROM", "SINCE"]
    assert shown[1] == ["gw-1", "current", "7", "0", "12", "3", "4", "10.0.0.1:443", "10.0.0.1:80", "192.0.2.7", SINCE]
    assert shown[2][:8] == ["gw-2", "behind", "4", "3", "in", "1.2", "s", "12"]
    assert shown[3] == ["gw-3", "draining", "7", "0", "12", "3", "4", "-", "-", SINCE]
    assert run("gateways", "--json").json()["gateways"] == found


def test_a_narrow_terminal_shows_fewer_columns_and_all_of_each() -> None:
    columns = ("NAME", "STATE", "FROM", "SINCE")
    rows = [["podgate-gateway-0", "current", "192.0.2.7", SINCE], ["b", "behind", "-", SINCE]]
    least = len("podgate-gateway-0  current")
    for width, shown in ((200, [0, 1, 2, 3]), (least + 11, [0, 1, 2]), (least + 10, [0, 1]), (10, [0, 1])):
        assert fitting(columns, rows, width, ("SINCE", "FROM")) == shown
    assert fitting(columns, rows, 10, ()) == [0, 1, 2, 3]


def test_on_a_terminal_of_80_columns_no_name_is_cut(
    run: Run, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"epoch": "e", "version": 7, "gateways": [gateway(replica="podgate-gateway-0", listens=["10.0.0.1:8443"])]}
    controller.answers["GET /v1/gateways"] = [(200, found)]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    outcome = run("gateways")
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in outcome.out.splitlines()]
    assert shown == [
        ["NAME", "STATE", "VERSION", "LAG", "LINKS", "LISTENS", "FROM"],
        ["podgate-gateway-0", "current", "7", "0", "12", "10.0.0.1:8443", "192.0.2.7"],
    ]
    assert outcome.err.startswith("There is no room for OPENINGS, WORKERS, SINCE: ")


def test_refused_routes_are_told_beside(run: Run, controller: Controller) -> None:
    rejected = [{"host": "bad.x", "reason": "protocol: unknown\x1b[31m"}]
    found = {"epoch": "e", "version": 7, "gateways": [gateway(rejected=rejected)]}
    controller.answers["GET /v1/gateways"] = [(200, found)]
    assert run("gateways").err == "gw-1 refuses bad.x: protocol: unknown\\x1b[31m\n"


def test_no_gateway_at_all_is_said(run: Run, real: Real) -> None:
    outcome = run("gateways")
    assert (outcome.code, outcome.out) == (0, "")
    assert "No gateway is connected" in outcome.err


def test_a_token_is_made_listed_and_revoked(run: Run, real: Real) -> None:
    assert "make one: podgate gateways token create NAME" in run("gateways", "token", "list").err
    made = run("gateways", "token", "create", "berlin")
    assert made.out.startswith("pgt_")
    assert made.out.count("\n") == 1
    assert "--token-file FILE --name berlin" in made.err
    assert run("gateways", "token", "list", "--json").json() == {"names": ["berlin"]}
    assert run("gateways", "token", "list").out.split() == ["NAME", "berlin"]
    assert run("gateways", "token", "create", "berlin").failed_with(
        "gateway 'berlin' has a token already; revoke it first, or choose another name"
    )
    assert run("gateways", "token", "revoke", "berlin").err == (
        "the token of gateway berlin is revoked; stop that gateway too\n"
    )
    assert run("gateways", "token", "revoke", "berlin").code == 1
