import json
from pathlib import Path

import pytest

from bench import record as records
from bench.record import NAME, Metric, Question
from tests.bench.results import DOWN, REQUESTS, record


def test_a_record_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    before = record()
    records.save(before, tmp_path / "new" / "place")
    after = records.load(tmp_path / "new" / "place")
    assert records.to_document(after) == records.to_document(before)


def test_the_file_has_one_figure_a_line(tmp_path: Path) -> None:
    path = records.save(record(), tmp_path)
    lines = [line for line in path.read_text().splitlines() if '"question"' in line]
    assert len(lines) == len(record().figures)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        records.load(tmp_path)


def test_samples_are_found_by_question_and_peer() -> None:
    found = record()
    assert found.values(DOWN, "haproxy") == [1.6, 1.6, 1.7]
    assert found.values(DOWN, "nginx") == []
    assert found.peers([DOWN, REQUESTS]) == ["podgate", "haproxy", "envoy", "nginx"]
    assert found.experiments() == ["relay", "routes", "mixed"]


def test_a_note_is_kept_once() -> None:
    found = record()
    found.note("twice")
    found.note("twice")
    assert found.notes.count("twice") == 1


@pytest.mark.parametrize(
    ("at", "title"), [(None, "case"), (1, "case, 1 connection"), (1000, "case, 1,000 connections")]
)
def test_a_title_tells_the_size(at: int | None, title: str) -> None:
    assert Question("relay", "case", Metric("time", "s"), at, "connections").title == title
