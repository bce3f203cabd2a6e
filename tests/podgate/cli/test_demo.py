"""What `podgate demo` leaves behind. All else of it is run by `make demo`, with real clients."""

from pathlib import Path

import pytest

from podgate.cli.demo import leave


@pytest.mark.parametrize("has_picture", [True, False])
def test_nothing_stays_but_the_screenshot(tmp_path: Path, has_picture: bool) -> None:
    home = tmp_path / "podgate-demo-x"
    (home / "pods" / "one").mkdir(parents=True)
    (home / "serve.log").write_text("words")
    picture = home / "demo-web.png"
    if has_picture:
        picture.write_bytes(b"png")
    assert leave(home, picture) is has_picture
    assert list(tmp_path.rglob("*")) == ([home, picture] if has_picture else [])
