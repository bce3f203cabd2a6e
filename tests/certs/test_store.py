"""LeafStore: one wildcard leaf for the domain, others on demand, renewed in time, whatever the clock or disk does."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.authority import Authority
from certs.files import PRIVATE, CertificateProblem, write_file
from certs.leaf import Leaf
from certs.store import LeafStore

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
WILDCARD = ("*.pods.localhost", "pods.localhost")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


@pytest.fixture
def store(authority: Authority, tmp_path: Path) -> LeafStore:
    return LeafStore(authority, tmp_path / "leaves", "pods.localhost")


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("mydb.pods.localhost", WILDCARD),
        ("mydb--metrics.pods.localhost", WILDCARD),
        ("pods.localhost", WILDCARD),
        ("*.pods.localhost", WILDCARD),
        ("a.b.pods.localhost", ("a.b.pods.localhost",)),
        ("*.mydb.pods.localhost", ("*.mydb.pods.localhost",)),
        ("www.example.org", ("www.example.org",)),
        ("*.example.org", ("*.example.org",)),
        ("mypods.localhost", ("mypods.localhost",)),
        ("localhost", ("localhost",)),
        ("a" * 63 + ".b" * 95, ("a" * 63 + ".b" * 95,)),
        ("../../escape", ("../../escape",)),
    ],
)
def test_a_host_gets_the_leaf_that_covers_it(store: LeafStore, tmp_path: Path, host: str, hosts: tuple[str]) -> None:
    leaf = store.get(host, NOW)
    assert leaf.hosts == hosts
    assert only_file(tmp_path / "leaves").stat().st_mode & 0o777 == PRIVATE
    assert (tmp_path / "leaves").stat().st_mode & 0o777 == 0o700


def test_a_wildcard_right_below_a_top_level_name_is_not_used(authority: Authority, tmp_path: Path) -> None:
    store = LeafStore(authority, tmp_path / "leaves", "localhost")
    assert store.get("mydb.localhost", NOW).hosts == ("mydb.localhost",)


def test_a_leaf_is_kept_in_memory_and_on_disk(store: LeafStore, authority: Authority, tmp_path: Path) -> None:
    leaf = store.get("a.pods.localhost", NOW)
    assert store.get("b.pods.localhost", NOW + DAY) is leaf
    assert LeafStore(authority, tmp_path / "leaves", "pods.localhost").get("c.pods.localhost", NOW) == leaf


@pytest.mark.parametrize(
    ("later", "kept"),
    [(59 * DAY, True), (61 * DAY, False), (100 * DAY, False), (-2 * timedelta(hours=1), False)],
    ids=["two thirds lived", "less than a third left", "ended", "clock set back"],
)
def test_a_leaf_is_renewed_by_the_clock(store: LeafStore, later: timedelta, kept: bool) -> None:
    leaf = store.get("a.pods.localhost", NOW)
    renewed = store.due(NOW + later)
    assert (store.get("a.pods.localhost", NOW + later) == leaf) is kept
    assert renewed == ([] if kept else [store.get("a.pods.localhost", NOW + later)])
    assert store.due(NOW + later) == []


def test_near_the_authoritys_end_leaves_are_not_renewed_in_vain(store: LeafStore, authority: Authority) -> None:
    late = authority.not_after - timedelta(minutes=10)
    assert store.get("a.pods.localhost", late) is store.get("b.pods.localhost", late)
    with pytest.raises(CertificateProblem, match="expired"):
        store.get("a.pods.localhost", authority.not_after)


def test_what_another_process_renewed_is_taken_over(store: LeafStore, authority: Authority, tmp_path: Path) -> None:
    other = LeafStore(authority, tmp_path / "leaves", "pods.localhost")
    assert store.get("a.pods.localhost", NOW) == other.get("a.pods.localhost", NOW)
    assert store.due(NOW + 70 * DAY) == other.due(NOW + 70 * DAY) != []


def files_of(leaf: Leaf) -> bytes:
    return leaf.key_pem + leaf.chain_pem


@pytest.mark.parametrize("size", [0, 1, 100, 240, 242, 300, 900])
def test_a_half_written_file_is_replaced(authority: Authority, tmp_path: Path, size: int) -> None:
    directory = tmp_path / "leaves"
    LeafStore(authority, directory, "pods.localhost").get("a.b", NOW)
    path = only_file(directory)
    path.write_bytes(path.read_bytes()[:size])
    leaf = LeafStore(authority, directory, "pods.localhost").get("a.b", NOW)
    assert path.read_bytes() == files_of(leaf)


def test_a_foreign_file_is_replaced(store: LeafStore, authority: Authority, tmp_path: Path) -> None:
    directory = tmp_path / "leaves"
    store.get("a.b", NOW)
    path = only_file(directory)
    of_another_host = authority.issue(["c.d"], NOW)
    of_another_authority = Authority.open(tmp_path / "other").issue(["a.b"], NOW)
    for foreign in (of_another_host, of_another_authority):
        write_file(path, files_of(foreign), PRIVATE)
        leaf = LeafStore(authority, directory, "pods.localhost").get("a.b", NOW)
        assert (leaf.hosts, leaf.key_pem != foreign.key_pem) == (("a.b",), True)
        assert path.read_bytes() == files_of(leaf)


def test_a_key_that_others_may_have_read_is_replaced(
    store: LeafStore, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = store.get("a.b", NOW)
    path = only_file(tmp_path / "leaves")
    path.chmod(0o644)
    assert LeafStore(authority, tmp_path / "leaves", "pods.localhost").get("a.b", NOW).key_pem != seen.key_pem
    assert path.stat().st_mode & 0o777 == PRIVATE
    assert "open to others" in caplog.text


def test_a_directory_that_cannot_be_written_costs_only_the_cache(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "leaves").write_text("in the way")
    store = LeafStore(authority, tmp_path / "leaves", "pods.localhost")
    with caplog.at_level(logging.WARNING):
        leaf = store.get("a.b", NOW)
    assert "cannot write" in caplog.text
    assert "PRIVATE" not in caplog.text
    assert store.get("a.b", NOW) is leaf
