"""What others wrote is shown as it is, but moves no cursor and makes no line of its own."""

import json

import pytest

from podgate.cli.output import answer, answer_json, answer_table, json_text, talk
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import Controller, gateway, pod

HOSTILE = "ü\x1b]0;mine\x07\x9b2J\u202e\ud800\x7f"
SHOWN = "ü\\x1b]0;mine\\x07\\x9b2J\\u202e\\ud800\\x7f"


def test_lines_are_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    answer(f"one {HOSTILE}\ntwo")
    talk(HOSTILE)
    assert capsys.readouterr() == (f"one {SHOWN}\ntwo\n", f"{SHOWN}\n")


def test_a_cell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    answer_table(("NAME",), [(f"{HOSTILE}\nroot",)])
    assert capsys.readouterr().out.split() == ["NAME", f"{SHOWN}\\nroot"]


def test_json_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    answer_json({"a": [HOSTILE]})
    told = capsys.readouterr().out
    assert json.loads(told) == {"a": [HOSTILE]}
    assert all(each.isprintable() for each in told.replace("\n", ""))
    assert json_text({"ü": "\U000e0001"}) == '{"ü": "\\udb40\\udc01"}'


def test_what_a_gateway_and_a_pod_say_is_one_line(run: Run, controller: Controller) -> None:
    rejected = [{"host": "x\ny", "reason": HOSTILE[:12]}]
    controller.gateways = [{**gateway(current=False), "replica": "g\x1b[2J\nroot", "rejected": rejected}]
    lines = run("status").out.splitlines()
    assert lines[-2].startswith("gateway   g\\x1b[2J\\nroot: 2 workers")
    assert lines[-1].startswith("          refuses x\\ny: ü\\x1b]0;mine")
    controller.add(pod("mydb", message="exit status 1: \x1b[2J\nroot", phase="failed"))
    assert "is failed: exit status 1: \\x1b[2J\\nroot" in run("pod", "show", "mydb").out
