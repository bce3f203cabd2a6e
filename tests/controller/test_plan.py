"""The plan as a table: what is wanted, what is seen, what is done. `now` is 1000.0 throughout."""

from dataclasses import replace

import pytest

from controller.model import Event, Phase, Pod, Status, Want, deleted, restarted, started, stopped
from controller.plan import (
    CALM,
    LONGEST_MESSAGE,
    LONGEST_WAIT,
    Action,
    Step,
    events_between,
    failed,
    plan,
    wait_after,
)
from controller.runtimes import Observed, Stage
from router.access import AccessLevel

NOW = 1000.0
S = Stage
P = Phase


def pod(want: Want = Want.ON, phase: Phase = Phase.STARTING, generation: int = 3, **status: object) -> Pod:
    return Pod(
        number=1,
        key="db-1",
        name="db",
        template="db",
        access=AccessLevel.OWNER,
        created_at=0.0,
        want=want,
        generation=generation,
        status=replace(Status(phase=phase, since=900.0), **status),  # type: ignore[arg-type]
    )


def sight(stage: Stage, generation: int = 3, since: float = 990.0, message: str = "") -> Observed:
    return Observed(stage, generation, since, message=message)


# wanted, phase before, failures before, seen → phase, action
TABLE = [
    (Want.ON, P.REQUESTED, 0, None, P.STARTING, Action.LAUNCH),
    (Want.ON, P.STARTING, 0, None, P.STARTING, Action.LAUNCH),
    (Want.ON, P.STOPPED, 0, sight(S.EXITED, 2), P.STARTING, Action.LAUNCH),
    (Want.ON, P.STARTING, 0, sight(S.STARTING), P.STARTING, None),
    (Want.ON, P.FAILED, 3, sight(S.STARTING), P.FAILED, None),
    (Want.ON, P.STARTING, 0, sight(S.READY), P.AVAILABLE, None),
    (Want.ON, P.FAILED, 3, sight(S.READY), P.AVAILABLE, None),
    (Want.ON, P.AVAILABLE, 0, sight(S.STARTING, 2), P.STOPPING, Action.STOP),
    (Want.ON, P.AVAILABLE, 0, sight(S.READY, 2), P.STOPPING, Action.STOP),
    (Want.ON, P.STOPPING, 0, sight(S.STOPPING, 2), P.STOPPING, None),
    (Want.ON, P.AVAILABLE, 0, sight(S.EXITED), P.STARTING, Action.LAUNCH),
    (Want.ON, P.STARTING, 0, sight(S.EXITED), P.STARTING, Action.LAUNCH),
    (Want.ON, P.STARTING, 1, sight(S.EXITED), P.STARTING, None),
    (Want.ON, P.STARTING, 2, sight(S.EXITED), P.FAILED, None),
    (Want.ON, P.AVAILABLE, 2, sight(S.EXITED), P.STARTING, None),
    (Want.ON, P.FAILED, 9, sight(S.EXITED), P.FAILED, None),
    (Want.ON, P.FAILED, 9, sight(S.EXITED, 2), P.FAILED, Action.LAUNCH),
    (Want.OFF, P.REQUESTED, 0, None, P.STOPPED, None),
    (Want.OFF, P.AVAILABLE, 0, sight(S.STARTING), P.STOPPING, Action.STOP),
    (Want.OFF, P.AVAILABLE, 0, sight(S.READY), P.STOPPING, Action.STOP),
    (Want.OFF, P.AVAILABLE, 0, sight(S.STOPPING), P.STOPPING, None),
    (Want.OFF, P.STOPPING, 0, sight(S.EXITED), P.STOPPED, None),
    (Want.DELETED, P.AVAILABLE, 0, sight(S.STARTING), P.STOPPING, Action.STOP),
    (Want.DELETED, P.AVAILABLE, 0, sight(S.READY), P.STOPPING, Action.STOP),
    (Want.DELETED, P.STOPPING, 0, sight(S.STOPPING), P.STOPPING, None),
    (Want.DELETED, P.STOPPING, 0, sight(S.EXITED), P.STOPPING, Action.REMOVE),
    (Want.DELETED, P.STOPPING, 0, None, P.STOPPING, Action.FORGET),
]


@pytest.mark.parametrize(("want", "before", "failures", "seen", "phase", "action"), TABLE)
def test_the_next_step(
    want: Want, before: Phase, failures: int, seen: Observed | None, phase: Phase, action: Action | None
) -> None:
    step = plan(pod(want, before, failures=failures), seen, NOW)
    assert (step.status.phase, step.action) == (phase, action)


@pytest.mark.parametrize("want", Want)
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("seen", [None, *(sight(stage, generation) for stage in Stage for generation in (2, 3, 4))])
def test_asked_again_at_once_it_says_the_same(want: Want, phase: Phase, seen: Observed | None) -> None:
    first = plan(pod(want, phase, failures=2), seen, NOW)
    again = plan(replace(pod(want), status=first.status, generation=first.generation), seen, NOW)
    assert again == first


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (7, 32), (8, 60), (5000, 60)]
)
def test_the_back_off(failures: int, seconds: float) -> None:
    assert wait_after(failures) == seconds


def test_an_end_is_counted_once_by_its_generation() -> None:
    first = plan(pod(phase=P.STARTING, failures=1, restarts=5), sight(S.EXITED, message="exit status 1"), NOW)
    assert (first.status.failures, first.status.restarts, first.generation) == (2, 6, 4)
    assert (first.status.message, first.again_in) == ("exit status 1", 1.0)
    due = plan(replace(pod(), status=first.status, generation=4), sight(S.EXITED), NOW + 1)
    assert due.action is Action.LAUNCH
    assert (due.status.failures, due.generation, due.status.message) == (2, 4, "exit status 1")


def test_an_end_without_a_word_is_told_all_the_same() -> None:
    assert plan(pod(), sight(S.EXITED), NOW).status.message == "it ended by itself"


@pytest.mark.parametrize("stage", [S.STARTING, S.READY])
def test_a_generation_whose_note_was_lost_is_taken_over(stage: Stage) -> None:
    step = plan(pod(), sight(stage, 7), NOW)
    assert (step.generation, step.action) == (7, None)


def test_what_a_pod_in_trouble_says_of_itself_does_not_hide_the_trouble() -> None:
    before = pod(phase=P.FAILED, failures=4, message="exit status 1: no such table")
    assert plan(before, sight(S.STARTING, message="waits for postgres"), NOW).status.message == before.status.message


def test_failures_are_forgotten_after_a_calm_minute() -> None:
    calm = pod(phase=P.AVAILABLE, failures=4)
    soon = plan(calm, sight(S.READY, since=NOW - CALM + 10), NOW)
    assert (soon.status.failures, soon.again_in) == (4, 10.0)
    later = plan(calm, sight(S.READY, since=NOW - CALM), NOW)
    assert (later.status.failures, later.again_in) == (0, None)


def test_ready_tells_since_when_and_clears_the_wait() -> None:
    status = plan(pod(failures=2, retry_at=5000.0, message="exit status 1"), sight(S.READY, since=995.0), NOW).status
    assert (status.since, status.retry_at, status.message) == (995.0, 0.0, "")


def test_since_is_when_the_phase_began() -> None:
    assert plan(pod(phase=P.STARTING), sight(S.STARTING), NOW).status.since == 900.0
    assert plan(pod(phase=P.AVAILABLE), sight(S.STARTING), NOW).status.since == NOW


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 0.0])
def test_a_clock_that_jumps_back_makes_a_wait_no_longer_than_the_back_off(jump: float) -> None:
    waiting = pod(generation=4, failures=20, retry_at=NOW + LONGEST_WAIT)
    step = plan(waiting, sight(S.EXITED), NOW + jump)
    assert step.again_in == LONGEST_WAIT
    later = plan(replace(waiting, status=step.status), sight(S.EXITED), NOW + jump + LONGEST_WAIT)
    assert later.action is Action.LAUNCH


def test_a_ready_time_in_the_future_is_asked_about_again_in_a_minute_at_the_latest() -> None:
    assert plan(pod(failures=1), sight(S.READY, since=NOW + 1e9), NOW).again_in == CALM


def test_a_message_is_bounded() -> None:
    longest = plan(pod(), sight(S.STARTING, message="x" * LONGEST_MESSAGE), NOW).status.message
    longer = plan(pod(), sight(S.STARTING, message="x" * (LONGEST_MESSAGE + 1)), NOW).status.message
    assert longest == "x" * LONGEST_MESSAGE
    assert longer == "x" * (LONGEST_MESSAGE - 1) + "…"


@pytest.mark.parametrize(
    ("want", "failures", "phase"),
    [(Want.ON, 1, P.STARTING), (Want.ON, 2, P.FAILED), (Want.OFF, 2, P.STARTING), (Want.DELETED, 2, P.STARTING)],
)
def test_a_failed_action_is_put_off_and_told(want: Want, failures: int, phase: Phase) -> None:
    status = failed(pod(want, failures=failures), "no space left", NOW)
    assert (status.phase, status.message, status.failures) == (phase, "no space left", failures + 1)
    assert status.retry_at == NOW + wait_after(failures + 1)


def test_a_failed_removal_is_tried_again_after_a_while_and_still_told() -> None:
    stuck = pod(Want.DELETED, P.STOPPING)
    for _ in range(3):
        stuck = replace(stuck, status=failed(stuck, "directory busy", NOW))
    waiting = plan(stuck, sight(S.EXITED), NOW)
    assert (waiting.action, waiting.again_in, waiting.status.message) == (None, 2.0, "directory busy")
    assert plan(stuck, sight(S.EXITED), NOW + 2).action is Action.REMOVE


def test_what_an_owner_asks_forgets_the_failures() -> None:
    hopeless = pod(phase=P.FAILED, failures=9, retry_at=NOW + 60, message="exit status 1")
    for change in (started, restarted, stopped, deleted):
        status = change(hopeless).status
        assert (status.failures, status.retry_at, status.phase) == (0, 0.0, P.STARTING)
    assert plan(started(hopeless), sight(S.EXITED, 2), NOW).action is Action.LAUNCH


def test_a_generation_rises_when_a_pod_is_to_be_started_anew() -> None:
    assert started(pod()).generation == 3
    assert started(pod(Want.OFF)).generation == 4
    assert restarted(pod()).generation == 4
    assert (stopped(pod()).want, deleted(pod()).want) == (Want.OFF, Want.DELETED)


def test_events_tell_ends_problems_and_phases() -> None:
    before = Status(phase=P.AVAILABLE)
    ended = replace(before, phase=P.STARTING, restarts=1, failures=1, message="exit status 1")
    assert events_between(before, ended, NOW) == [
        Event(NOW, "exited", "exit status 1"),
        Event(NOW, "starting", "exit status 1"),
    ]
    assert events_between(before, replace(before, failures=1, message="no"), NOW) == [Event(NOW, "problem", "no")]
    assert events_between(before, replace(before, message="warm"), NOW) == []


def test_a_step_says_when_to_ask_again_only_if_it_must() -> None:
    assert plan(pod(), sight(S.STARTING), NOW) == Step(replace(pod().status), 3)
