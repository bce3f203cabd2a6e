"""Looking at a real database that controllers share."""

import pytest

from podgate.checkup import database
from podgate.checkup.findings import State
from tests.databases import PASSWORD, server


def test_a_database_is_reached_as_the_controller_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as running:
        url = running.database()
        assert " " in PASSWORD  # written %20, which libpq complains of where it is told anything but that
        for given in (url, url.set(port=1)):
            monkeypatch.setenv("PODGATE_DATABASE_URL", given.render_as_string(hide_password=False) + "\n")
            (finding,) = database.look()
            assert (finding.state is State.OK) is (given is url), finding
            assert f"127.0.0.1:{given.port}" in finding.found
            assert PASSWORD not in str(finding)
        with running.connect(url.database) as owner:
            owner.execute("CREATE ROLE guest LOGIN PASSWORD 'x'")
        guest = url.set(username="guest", password="x")
        monkeypatch.setenv("PODGATE_DATABASE_URL", guest.render_as_string(hide_password=False))
        (finding,) = database.look()
        assert finding.found.endswith("this user may not make tables there")
