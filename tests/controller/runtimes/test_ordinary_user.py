"""The same promises where the controller is an ordinary user, and so are its pods."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AS_AN_ORDINARY_USER = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
SAME_TESTS = ["test_process.py", "test_servers.py::test_a_postgres_pod_and_what_its_roles_may_do"]


@pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as an ordinary user already")
def test_the_same_tests_pass_as_an_ordinary_user() -> None:
    here = Path(__file__).parent
    if subprocess.run([*AS_AN_ORDINARY_USER, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("user namespaces are not allowed here")
    pytest_again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    result = subprocess.run(
        [*AS_AN_ORDINARY_USER, *pytest_again, *(str(here / name) for name in SAME_TESTS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=here.parent.parent.parent,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout
