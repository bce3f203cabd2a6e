"""The paper's experiment: its plan, its file, its page and pictures, and what its command line refuses."""

import signal
import socket
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cli import app
from bench.paper import backends, command, kept
from bench.paper.added import LEVEL, MET, MISSED, Difference, added, compared
from bench.paper.kept import Paper
from bench.paper.limit import TooSlow, time_limit
from bench.paper.plan import ARRIVALS, BYTES, DRIVER, GRAPH, PARTS, ROWS, Plan, driver_runs, rounds, works
from bench.paper.questions import OPEN, question
from bench.paper.report import in_order, report, seconds
from bench.pictures import shares, trips
from bench.record import Record
from bench.samples import median
from podgate.cli.failure import Failure
from tests.bench.papers import PLAN, paper

ASKED = question(GRAPH, BYTES, OPEN, 1_000)
WIDE = {"COLUMNS": "300", "TERM": "dumb"}


def test_every_client_and_size_is_asked_as_often_as_wanted() -> None:
    asked = {(work.what, work.number): work.runs for work in works(Plan(runs=60), ROWS)}
    assert set(asked.values()) == {60}
    assert len(asked) == 6


@pytest.mark.parametrize(
    ("plan", "size", "runs"),
    [
        (Plan(runs=60), 10_000, 60),
        (Plan(runs=60), 200_000, 9),
        (Plan(runs=60), 500_000, 5),
        (Plan(runs=20), 500_000, 5),
        (Plan(runs=2), 500_000, 2),
        (Plan(runs=60, driver_runs=60), 500_000, 60),
    ],
)
def test_the_driver_is_asked_for_the_larger_sizes_less_often(plan: Plan, size: int, runs: int) -> None:
    assert driver_runs(plan, size) == runs
    if size in plan.sizes:
        found = {(work.what, work.number): work.runs for work in works(plan, GRAPH)}
        assert (found[DRIVER, size], found[BYTES, size]) == (runs, plan.runs)


@pytest.mark.parametrize("part", PARTS)
def test_every_round_comes_once_and_in_its_order(part: str) -> None:
    asked = works(Plan(runs=7, arrival_runs=3), part)
    found = list(rounds(asked, {}))
    assert Counter(work.key for work, _number in found) == {work.key: work.runs for work in asked}
    for work in asked:
        assert [number for one, number in found if one is work] == list(range(work.runs))


def test_few_runs_are_spread_among_many() -> None:
    asked = works(Plan(sizes=(10_000, 500_000), runs=60), GRAPH)
    places = [place for place, (work, _number) in enumerate(rounds(asked, {})) if work.key == "graph driver 500000"]
    gaps = [after - before for before, after in pairwise(places)]
    assert len(places) == 5
    assert max(gaps) - min(gaps) <= 2


def test_a_run_that_was_stopped_goes_on_with_what_is_left() -> None:
    asked = works(Plan(runs=5), ROWS)
    every = list(rounds(asked, {}))
    for stopped in range(len(every) + 1):
        done = Counter(work.key for work, _number in every[:stopped])
        assert list(rounds(asked, done)) == every[stopped:]


def test_keys_are_different() -> None:
    keys = [work.key for part in PARTS for work in works(Plan(), part)]
    assert len(set(keys)) == len(keys) == 36


def test_a_run_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    before = paper(left=2)
    kept.save(before, tmp_path)
    after = kept.load(tmp_path)
    assert after.to_document() == before.to_document()
    assert (after.plan, after.parts, after.left()) == (PLAN, PARTS, 2)


def test_the_page_tells_what_each_backend_adds() -> None:
    text = report(paper())
    assert "| 1,000 | direct | 6 | 1 s | 0.1 ms | 1 s | 1 s |  |  |" in text
    assert "| 1,000 | Podgate | 6 | 1 s | 0.1 ms | 1 s | 1 s | +1 ms ± 0 ms | +0.1 % |" in text
    assert "| 20,000 | mine | 6 | 2.05 s | 0.1 ms | 2.05 s | 2.05 s | +50 ms ± 0 ms | +2.5 % |" in text
    assert (
        "| bytes only, open connection, 1,000 nodes | +1 ms ± 0 ms (+1.0 %) | HAProxy +2 ms ± 0 ms (+2.0 %) "
        "| -1 ms ± 0 ms | met |"
    ) in text
    assert "Not finished" not in text
    assert "- mine is bolt+s://db.example.org:7687" in text


@pytest.mark.parametrize(
    ("podgate", "own", "runs", "verdict"),
    [
        (0.9, 0.1, 6, "met"),
        (1.0, 0.1, 6, "met"),
        (1.05, 0.1, 6, "level"),
        (1.05, 0.0, 6, "**missed**"),
        (1.5, 0.1, 6, "**missed**"),
        (1.5, 0.1, 3, "too few runs"),
    ],
)
def test_podgate_is_judged_by_the_best_peer_round_by_round(podgate: float, own: float, runs: int, verdict: str) -> None:
    """How fast the machine is changes from round to round for all; Podgate varies by `own` beyond that."""
    run = Paper(PLAN, (GRAPH,))
    for name, middle in (("direct", 0.5), ("podgate", podgate), ("haproxy", 1.0), ("traefik", 3.0)):
        for number in range(runs):
            jitter = own * (number % 3 - 1) if name == "podgate" else 0.0
            run.record.add(ASKED, name, middle + 0.4 * (number % 2) + jitter)
    (line,) = [line for line in report(run).splitlines() if line.startswith("| bytes only, open")]
    assert " | HAProxy +500 ms" in line
    assert line.endswith(f" | {verdict} |")


def measured(**times: Sequence[float]) -> Record:
    """Give a record of one question, with the times of each backend by round."""
    record = Record()
    for name, values in times.items():
        for value in values:
            record.add(ASKED, name, value)
    return record


def test_what_is_added_is_the_median_of_the_differences_and_not_the_difference_of_the_medians() -> None:
    record = measured(direct=(1, 2, 9, 10, 11), podgate=(2, 3, 20, 11, 12), haproxy=(3, 4, 11, 12, 13))
    assert median(record.values(ASKED, "podgate")) - median(record.values(ASKED, "direct")) == 2
    assert added(record, ASKED, "podgate") == Difference(1.0, 0.0)
    assert added(record, ASKED, "direct") is None
    text = report(Paper(PLAN, (GRAPH,), record))
    assert "| +1 s ± 0 ms (+11.1 %) | HAProxy +2 s ± 0 ms (+22.2 %) | -1 s ± 0 ms | met |" in text
    assert "| 1,000 | Podgate | 5 | 11 s | 8 s | 20 s | 20 s | +1 s ± 0 ms | +11.1 % |" in text


def test_the_standard_error_is_that_of_a_median() -> None:
    record = measured(direct=[0.0] * 9, podgate=[1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert added(record, ASKED, "podgate") == Difference(5.0, 1.24)  # 1.2533 * 1.4826 * MAD of 2 / sqrt(9)
    assert added(measured(direct=[0.0] * 4, podgate=[1.0] * 4), ASKED, "podgate") == Difference(1.0, None)


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 4), min_size=5, max_size=9))
def test_no_verdict_contradicts_the_row_it_stands_in(rounds: list[tuple[int, int, int, int]]) -> None:
    """Medians of differences need not add up, and a verdict must not stand beside figures that say otherwise."""
    names = ("direct", "podgate", "haproxy", "traefik")
    record = measured(**dict(zip(names, zip(*rounds, strict=True), strict=True)))
    found = compared(record, ASKED)
    assert found is not None
    peers = {name: one.middle for name in ("haproxy", "traefik") if (one := added(record, ASKED, name))}
    assert found.theirs.middle == peers[found.peer] == min(peers.values())
    assert found.apart.error is not None
    more, apart = found.ours.middle - found.theirs.middle, found.apart.middle
    assert {
        MET: more <= 0 and apart <= 0,
        MISSED: more > 0 and apart > 2 * found.apart.error,
        LEVEL: 0 < apart <= 2 * found.apart.error or (more > 0) != (apart > 0),
    }[found.verdict]


@pytest.mark.parametrize(
    ("podgate", "haproxy", "apart"),
    [((2, 4, 9, 9, 1), (3, 5, 10, 3, 2), -1.0), ((3, 5, 10, 3, 2), (2, 4, 9, 9, 1), 1.0)],
)
def test_where_the_medians_disagree_it_is_level(podgate: Sequence[int], haproxy: Sequence[int], apart: float) -> None:
    found = compared(measured(direct=[0] * 5, podgate=podgate, haproxy=haproxy), ASKED)
    assert found is not None
    assert found.ours.middle - found.theirs.middle == -apart
    assert found.apart == Difference(apart, 0.0)
    assert found.verdict == LEVEL


def test_the_page_tells_how_many_arrivals_were_served_in_time() -> None:
    text = report(paper())
    row = "90 / 95 / 100"
    assert f"| 500 | {row} | {row} | {row} | {row} |" in text
    assert "| at once | direct | Podgate | Podgate, early drop | HAProxy |" in text
    assert "| 10 | 2 / 500 / 1,500 |" in text


def test_the_page_says_what_the_clients_offered_where_they_were_told() -> None:
    run = paper()
    assert "all others with TLS 1.3. " in report(run)
    run.record.machine[kept.TLS] = "X25519"
    text = report(run)
    assert "all others with TLS 1.3 (X25519, and nothing else is offered). " in text
    assert text.count("X25519") == 1


def test_the_page_of_a_run_that_was_stopped_says_so() -> None:
    assert "**Not finished: 2 rounds are left**" in report(paper(left=2))


def test_backends_stand_in_one_order() -> None:
    assert in_order(["mine", "haproxy", "direct", "podgate"]) == ["direct", "podgate", "haproxy", "mine"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 ms"), (0.01234, "12.3 ms"), (-0.5, "-500 ms"), (1.0, "1 s"), (35.12, "35.1 s")]
)
def test_times_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text


def test_pictures_are_drawn(tmp_path: Path) -> None:
    run = paper()
    files = [*trips.draw(run.record, run.plan, tmp_path), *shares.draw(run.record, tmp_path)]
    assert files == ["graph-driver.png", "graph-bytes.png", "arrivals-postgres.png", "arrivals-http.png"]
    assert all((tmp_path / file).read_bytes().startswith(b"\x89PNG") for file in files)


def test_a_report_is_rebuilt_from_the_samples(tmp_path: Path) -> None:
    kept.save(paper(), tmp_path)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0
    assert "![graph-driver](graph-driver.png)" in (tmp_path / "README.md").read_text()


def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    kept.save(paper(left=1), tmp_path)
    directory, run = command._begun(tmp_path, PLAN, (GRAPH,))
    assert (directory, run.left(), run.parts) == (tmp_path, 1, PARTS)
    with pytest.raises(Failure, match="was begun with other settings; name another place"):
        command._begun(tmp_path, Plan(), (GRAPH,))
    kept.save(paper(), tmp_path)
    with pytest.raises(Failure, match="is finished; name another place"):
        command._begun(tmp_path, PLAN, (ARRIVALS,))


def test_a_user_s_own_backend_is_reached_as_its_uri_says() -> None:
    way = backends.Asked("cloud", "bolt+s://db.example.org:7777/movies", "me", "secret").way()
    assert (way.address, way.port, way.host, way.uri) == (
        "db.example.org", 7777, "db.example.org", "bolt+s://db.example.org:7777",
    )  # fmt: skip
    assert way.login == backends.Login("me", "secret", "movies")
    plain = backends.Asked("near", "bolt://10.0.0.1", "me", "secret").way()
    assert (plain.port, plain.host, plain.context()) == (7687, "", None)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "nodes"], "there is no part 'nodes'; there are graph, rows, arrivals"),
        (["--peers", "nginx"], "there is no peer 'nginx'"),
        (["--sizes", "10,x"], "expected whole numbers"),
        (["--sizes", "0"], "expected whole numbers"),
        (["--arrivals", "2000"], "expected whole numbers of 1 to 1,000"),
        (["--runs", "0"], "Invalid value for '--runs'"),
        (["--uri", "cloud"], "expected NAME="),
        (["--uri", "cloud=http://db.example.org"], "a URI begins with one of bolt, bolt+s"),
        (["--uri", "cloud=bolt://me:secret@db.example.org"], "no login belongs in a URI"),
        (["--uri", "podgate=bolt://db.example.org"], "cannot name a backend"),
        (["--uri", "cloud=bolt://db.example.org"], "give --auth cloud=USER"),
        (["--auth", "cloud=me"], "--auth names cloud, and no --uri does"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["paper", *arguments], env=WIDE)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_client_that_would_wait_for_ever_is_interrupted() -> None:
    before = signal.getsignal(signal.SIGALRM)
    one, other = socket.socketpair()
    with one, other, pytest.raises(TooSlow, match=r"no whole answer within 0\.05 s"), time_limit(0.05):
        one.recv(1)
    with time_limit(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
