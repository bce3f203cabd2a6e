"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = "gateway|router|controller|certs|bench|podgate|tests|deploy|docs"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(rf"(?<![\w/.])((?:{PACKAGES})/[\w/.-]*\w\.(?:py|md|toml|sh|json))", text))
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    missing = [name for name in named if not (ROOT / name).is_file()]
    missing += [target for target in linked if not (document.parent / target).exists()]
    assert missing == []


def test_advice_to_serve_by_python_is_to_listen_on_loopback() -> None:
    """Others on the network would get around the gateway."""
    welcome = ROOT / "controller" / "templates" / "web-welcome.html"
    advice = [line for path in (*DOCUMENTS, welcome) for line in path.read_text().splitlines() if "http.server" in line]
    assert len(advice) >= 2
    assert [line for line in advice if "--bind 127.0.0.1" not in line] == []


def test_the_drawn_way_of_a_connection_has_every_file_of_the_gateway() -> None:
    """A file nobody drew is a file nobody finds."""
    drawn = (ROOT / "docs" / "architecture.md").read_text() + (ROOT / "gateway" / "__init__.py").read_text()
    files = {path.stem for path in (ROOT / "gateway").glob("*.py")} - {"__init__", "waiting"}
    assert sorted(name for name in files if not re.search(rf"\b{name}\b", drawn)) == []
