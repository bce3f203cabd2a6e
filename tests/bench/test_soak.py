import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import soaked as soaks
from bench.cli import app
from bench.flatness import CONNECTIONS, MIXED
from bench.pictures import seconds
from bench.soaked import NAME, Soaked
from bench.soaking import MANNERS, faults
from tests.bench.soaks import soaked


def test_a_soak_passes_when_it_stayed_flat_and_nobody_failed() -> None:
    found = soaked()
    assert found.passed()
    assert soaks.verdict(found) == "flat, and no connection failed"


def test_a_failed_connection_fails_the_soak() -> None:
    found = soaked()
    found.count(MIXED, "bulk down", 3, 1, "wrong bytes")
    assert not found.passed()
    assert soaks.verdict(found) == "1 connections or requests failed"
    assert "| mixed | bulk down | 3 | **1** | wrong bytes |" in soaks.report(found)


def test_trouble_fails_the_soak() -> None:
    found = soaked()
    found.troubles.append("the gateway ended with status 1: no memory")
    assert not found.passed()
    assert soaks.verdict(found) == "the gateway ended with status 1: no memory"


def test_the_verdict_names_what_was_not_flat_and_what_cannot_be_told() -> None:
    assert soaks.verdict(soaked([60.0 + second for second in range(20)], left=20)) == (
        "not flat: memory, connections of worker 1, descriptors of worker 1"
    )
    assert soaks.verdict(soaked([60.0])) == (
        "cannot be told: memory, connections of worker 1 (only 1 samples; a longer phase can tell)"
    )


def test_what_cannot_be_told_is_neither_passed_nor_failed() -> None:
    found = soaked([60.0])
    assert (found.outcome(), found.passed()) == ("could not tell", False)
    found.count(MIXED, "bulk down", 3, 1)
    assert found.outcome() == "failed"


def test_a_soak_without_samples_has_not_passed() -> None:
    assert not Soaked().passed()


def test_counts_add_up_and_keep_the_last_reason() -> None:
    found = soaked()
    found.count(MIXED, "half-closing", 10, 1, "no clean end after its own")
    found.count(MIXED, "half-closing", 5, 0)
    count = found.clients[MIXED]["half-closing"]
    assert (count.done, count.failed, count.why) == (15, 1, "no clean end after its own")
    assert found.failed() == 1


def test_a_soak_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    before = soaked()
    soaks.save(before, tmp_path / "new" / "place")
    assert soaks.load(tmp_path / "new" / "place") == before


def test_the_file_has_one_sample_a_line_and_the_verdict(tmp_path: Path) -> None:
    text = soaks.save(soaked(), tmp_path).read_text()
    assert sum(line.startswith('{"at"') for line in text.splitlines()) == len(soaked().samples)
    document = json.loads(text)
    assert document == soaks.to_document(soaked())
    assert (document["passed"], document["verdict"]) == (True, "flat, and no connection failed")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        soaks.load(tmp_path)


def test_the_page_begins_with_the_verdict_and_shows_each_finding() -> None:
    text = soaks.report(soaked(left=20), ["soak.png"])
    assert text.startswith("# Soak: failed\n\nNot flat: descriptors of worker 1.")
    assert "| worker 1 | memory, connections | 60.0 MiB | 60.0 MiB | 67.0 MiB | flat |" in text
    assert "| worker 1 | descriptors | 13 | 20 | 13 | **not flat** |" in text
    assert "| connections | worker 1 | 19 | 60.0 to 60.0, median 60.0 MiB | 40 to 40 | 50% |" in text
    assert "| connections | short connections | 1,000 | 0 |  |" in text
    assert "![soak](soak.png)" in text


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    assert seconds.draw(soaked().samples, "title", "subtitle", tmp_path / "soak.png") == "soak.png"
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_is_rebuilt_from_the_samples(tmp_path: Path) -> None:
    soaks.save(soaked(), tmp_path)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0
    assert (tmp_path / "README.md").read_text() == soaks.report(soaked(), ["soak.png"])
    assert (tmp_path / "soak.png").is_file()


LOG = """\
gateway is up on 127.0.0.1:8443
2026-11-21 12:00:00,001 INFO 17 podgate.link: 127.0.0.1:5 tcp a.example.org: both sides ended after 0.001 s
2026-11-21 12:00:01,001 ERROR 17 podgate.server: full: 9,900 links and 3 openings; closing new connections
2026-11-21 12:00:11,001 ERROR 17 podgate.server: full: 9,901 links and 4 openings; closing new connections
2026-11-21 12:00:12,001 ERROR 17 podgate.link: relay: fault with a link of a.example.org
Traceback (most recent call last):
ValueError: 2 ERROR 3 4 5 6
"""


def test_faults_are_found_in_a_log_each_kind_once(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    assert faults(tmp_path / "log") == [
        "the gateway logged 2 times: full: 9,900 links and 3 openings; closing new connections",
        "the gateway logged 1 times: relay: fault with a link of a.example.org",
    ]


def test_every_manner_of_the_load_program_has_a_name() -> None:
    source = (Path(soaks.__file__).parent / "load" / "manners.c").read_text()
    assert [line.split('"')[1] for line in source.splitlines() if line.startswith("    {.name")] == list(MANNERS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--connections", "0", "--minutes", "0"], "there is nothing to do"),
        (["--connections", "-1"], "Invalid value for '--connections'"),
        (["--minutes", "-1"], "Invalid value for '--minutes'"),
        (["--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_what_cannot_be_soaked_is_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["soak", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_soak_is_of_a_million_connections_and_five_minutes_unless_told_otherwise() -> None:
    text = CliRunner().invoke(app, ["soak", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "1000000" in text
    assert "5.0" in text
    assert CONNECTIONS in text
