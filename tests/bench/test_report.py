from pathlib import Path

from bench import tables
from bench.pictures.draw import draw
from bench.record import Metric, Question, Record
from tests.bench.results import record


def test_a_table_shows_medians_spreads_and_ratios() -> None:
    lines = tables.experiment_table(record(), "relay").splitlines()
    assert lines[0] == "| case | figure | Podgate | HAProxy | nginx | Envoy | direct |"
    assert "| bulk down | cpu per GiB, s/GiB | 0.8 ± 0.1 | 1.6 ± 0 (0.50) | none | 1 ± 0.1 (0.80) | none |" in lines
    assert "*direct* is the client on the upstream" in lines[-1]


def test_a_single_sample_has_no_spread() -> None:
    alone = Record()
    alone.add(Question("relay", "bulk down", Metric("cpu per GiB", "s/GiB")), "podgate", 0.8)
    assert "| bulk down | cpu per GiB, s/GiB | 0.8 |" in tables.experiment_table(alone, "relay")


def test_a_ratio_near_its_limit_has_more_digits() -> None:
    assert (tables._ratio(0.4513, 0.45), tables._ratio(0.46, 0.45)) == ("0.4513", "0.46")


def test_an_experiment_of_podgate_alone_has_no_ratios() -> None:
    assert "brackets" not in tables.experiment_table(record(), "routes")


def test_the_report_tells_the_machine_the_targets_and_what_was_left_out() -> None:
    text = tables.report(record(), ["overview.png", "relay-samples.png"])
    assert "commit abc1234" in text
    assert "| cpu per GiB down, beside HAProxy | ≤ 0.45 | 0.8 s/GiB | HAProxy | 0.50 | **missed** |" in text
    assert "| route lookup in 100,000 | ≤ 2 µs | 0.6 µs |  |  | met |" in text
    assert "pgbench" not in text  # postgres was not measured: its targets are not listed
    assert "![relay-samples](relay-samples.png)" in text
    assert "- hitch: apt-get install hitch; left out" in text


def test_pictures_are_drawn_for_what_was_asked(tmp_path: Path) -> None:
    files = draw(record(), tmp_path)
    assert set(files) >= {"overview.png", "relay-samples.png", "relay-growth.png", "relay-latency.png"}
    assert not any(file.startswith(("http", "postgres")) for file in files)
    assert all((tmp_path / file).read_bytes().startswith(b"\x89PNG") for file in files)
