"""The home: its modes, its lock, its tokens."""

import os
import stat
from pathlib import Path

import pytest

from controller.home import SHORTEST_TOKEN, HomeProblem, ensure_tokens, identity_of, locked, prepare_home
from controller.names import hash_of
from controller.store.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepare_home(tmp_path / "a" / "home")
    return tmp_path / "a" / "home"


def ensured(home: Path) -> dict[str, str]:
    with Store(home / "controller.sqlite") as store:
        return ensure_tokens(home, store)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_others_may_pass_through_a_home_of_root_and_read_nothing(home: Path) -> None:
    assert mode(home) == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(home / "run") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only a home of root's is passed through")
def test_a_home_of_root_that_was_closed_is_opened_for_passing_through(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    prepare_home(tmp_path)
    assert mode(tmp_path) == 0o711


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeProblem, match="choose another with --home"):
        prepare_home(tmp_path / "file" / "home")


def test_a_second_controller_is_refused_until_the_first_is_gone(home: Path) -> None:
    with locked(home):
        with pytest.raises(HomeProblem, match="another controller already runs on"), locked(home):
            pass
        assert mode(home / "controller.lock") == 0o600
    with locked(home):
        pass


def test_replicas_share_a_home_with_each_other_alone(home: Path) -> None:
    with locked(home, "a"), locked(home, "b"):
        refused = (
            ("a", "a replica named 'a' already runs on .* another name with --replica"),
            ("", "another controller"),
        )
        for other, reason in refused:
            with pytest.raises(HomeProblem, match=reason), locked(home, other):
                pass
    with locked(home), pytest.raises(HomeProblem, match="another controller already runs on"), locked(home, "a"):
        pass


def test_a_home_is_known_wherever_it_is_moved_to(home: Path, tmp_path: Path) -> None:
    known = identity_of(home)
    assert identity_of(home) == known
    assert mode(home / "home.id") == 0o600
    assert identity_of(home.rename(tmp_path / "moved")) == known
    prepare_home(home)
    assert identity_of(home) != known
    (home / "home.id").write_text("")
    with pytest.raises(HomeProblem, match=r"home\.id does not say which home this is"):
        identity_of(home)


def test_tokens_are_written_once_for_their_owner_alone(home: Path) -> None:
    scopes = ensured(home)
    tokens = {scope: (home / f"{scope}.token").read_text().strip() for scope in ("admin", "gateway")}
    assert scopes == {hash_of(token): scope for scope, token in tokens.items()}
    assert all(len(token) >= 32 for token in tokens.values())
    assert [mode(home / f"{scope}.token") for scope in tokens] == [0o600, 0o600]
    assert ensured(home) == scopes
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


def test_a_removed_token_is_replaced_and_let_in_no_more(home: Path) -> None:
    before = ensured(home)
    (home / "admin.token").unlink()
    after = ensured(home)
    assert len(after) == 2
    assert len(before.keys() & after.keys()) == 1


def test_a_token_put_there_by_hand_is_kept(home: Path) -> None:
    (home / "admin.token").write_text("t" * SHORTEST_TOKEN + "\n")
    (home / "admin.token").chmod(0o644)
    assert ensured(home)[hash_of("t" * SHORTEST_TOKEN)] == "admin"
    assert mode(home / "admin.token") == 0o600


@pytest.mark.parametrize("content", ["", "\n", "t" * (SHORTEST_TOKEN - 1), "ä" * 40, "two lines\n" * 4, "t" * 2000])
def test_a_token_that_cannot_be_used_is_named_and_not_shown(home: Path, content: str) -> None:
    (home / "admin.token").write_text(content)
    with pytest.raises(HomeProblem, match="no usable token") as caught:
        ensured(home)
    assert "admin.token" in str(caught.value)
    assert not content.strip() or content.strip() not in str(caught.value)


def test_a_token_file_that_leads_elsewhere_is_not_followed(home: Path) -> None:
    (home / "other").write_text("t" * 40)
    (home / "admin.token").symlink_to(home / "other")
    with pytest.raises(HomeProblem, match="tokens"):
        ensured(home)
