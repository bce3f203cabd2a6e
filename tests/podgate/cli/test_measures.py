"""Durations, sizes, times and networks, as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from podgate.cli.measures import duration, moment, network, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), (" 1d ", 86_400), ("999999999s", 999_999_999)],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "0s", "1.5h", "1 d", "1h30m", "30D", "2w", "1000000000s", "٣d", "3d\n4", "forever"]
)
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 30d, 12h, 90m or 45s, got"):
        duration(text)


def test_bare_seconds_are_refused_with_what_may_be_meant() -> None:
    with pytest.raises(typer.BadParameter, match="got '30'; did you mean 30s"):
        duration("30")


@pytest.mark.parametrize(
    ("text", "count"),
    [("4096", 4096), ("1k", 1024), ("512KiB", 524_288), ("10MiB", 10_485_760), ("1g", 2**30), ("none", 0)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "10MB", "1.5k", "MiB", "1t"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 512KiB, 10MiB or 1GiB, or none, got"):
        size(text)


def test_moments() -> None:
    assert moment("2026-11-21T09:00:00Z") == "2026-11-21T09:00:00.000Z"
    assert moment("2026-11-21T09:00+02:00") == "2026-11-21T07:00:00.000Z"
    ago = datetime.now(UTC) - datetime.fromisoformat(moment("1h"))
    assert timedelta(hours=1) <= ago < timedelta(hours=1, minutes=1)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "30", "9999999d"])
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 1h, or a time such as 2026-11-21T09:00, got"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "usual"),
    [("203.0.113.7", "203.0.113.7/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("2001:DB8::/32", "2001:db8::/32")],
)
def test_networks(text: str, usual: str) -> None:
    assert network(text) == usual


def test_what_is_no_network_is_told() -> None:
    with pytest.raises(typer.BadParameter, match=r"bits of the host are set; did you mean 10.0.0.0/8\?"):
        network("10.1.2.3/8")
    for text in ("", "example.org", "10.0.0.0/33", "10.0.0"):
        with pytest.raises(typer.BadParameter, match="is no network"):
            network(text)
