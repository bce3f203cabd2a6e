"""What the commands that run Podgate itself say of options that cannot be."""

import pytest
from typer.testing import CliRunner

from podgate.cli import app


@pytest.mark.parametrize("name", ["a b", "A", "-a", "a" * 64, "a\n"])
def test_a_replicas_name_that_cannot_be_is_told_by_the_command_itself(name: str) -> None:
    result = CliRunner().invoke(app, ["controller", "--replica", name], env={"COLUMNS": "300", "TERM": "dumb"})
    assert result.exit_code == 2
    assert "podgate controller" in result.output
    assert "Invalid value for '--replica': expected a name of at most 63 lower-case letters, digits" in result.output
