"""`podgate orphans`: what is left of pods that nobody knows."""

from controller.runtimes import Observed, Stage
from tests.podgate.cli.conftest import Run
from tests.podgate.cli.controller import SINCE, Controller
from tests.podgate.cli.real import Real


def test_they_are_listed(run: Run, controller: Controller) -> None:
    found = [
        {"key": "old-1", "stage": "exited", "since": SINCE, "message": "only its volume is\x1b[31m left"},
        {"key": "old-2", "stage": "ready", "since": SINCE, "message": ""},
    ]
    controller.answers["GET /v1/orphans"] = [(200, {"orphans": found})]
    shown = run("orphans").out.splitlines()
    assert shown[0].split() == ["KEY", "STAGE", "SINCE", "WHAT", "IT", "IS"]
    assert shown[1].split(maxsplit=3) == ["old-1", "exited", SINCE, "only its volume is\\x1b[31m left"]
    assert shown[2].split() == ["old-2", "ready", SINCE, "-"]
    assert run("orphans", "--json").json()["orphans"] == found


def test_one_is_deleted_by_its_key(run: Run, real: Real) -> None:
    outcome = run("orphans")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "There are none: all that runs or is kept belongs to a pod\n"
    real.runtime.pods["old-1"] = Observed(Stage.EXITED, 1, 0.0)
    assert run("orphans", "delete", "old-1").err == "old-1 is gone\n"
    assert real.runtime.pods == {}
    assert run("orphans", "delete", "old-1").failed_with("there is no orphan 'old-1'; see podgate orphans")
