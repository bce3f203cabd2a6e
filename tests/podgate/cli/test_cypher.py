"""`podgate cypher`: how text becomes statements, how values become cells, and what is refused at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo4j.graph import Graph, Node
from neo4j.time import Date

from podgate.cli.bolt import changes
from podgate.cli.cypher import plain, shown, statements
from tests.podgate.cli.conftest import Run


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n;;\n ; ", []),
        ("RETURN 1", ["RETURN 1"]),
        ("RETURN 1;", ["RETURN 1"]),
        ("RETURN 1; RETURN 2;RETURN 3", ["RETURN 1", "RETURN 2", "RETURN 3"]),
        ("MATCH (n)\nRETURN n;\n", ["MATCH (n)\nRETURN n"]),
        ("RETURN ';' AS a;", ["RETURN ';' AS a"]),
        ("RETURN 'it\\';s', \"a;\\\"b\", `c;d`;", ["RETURN 'it\\';s', \"a;\\\"b\", `c;d`"]),
        ("RETURN 1 // no; end\n;", ["RETURN 1 // no; end"]),
        ("RETURN /* ; \n; */ 1;", ["RETURN /* ; \n; */ 1"]),
        ("// only; a comment\n/* and; another */", []),
        ("RETURN 'open; to\nthe end';", ["RETURN 'open; to\nthe end'"]),
        ("RETURN 6 / 2;", ["RETURN 6 / 2"]),
    ],
)
def test_statements_end_where_cypher_says(text: str, found: list[str]) -> None:
    assert list(statements(text.splitlines(keepends=True))) == found
    assert list(statements([text])) == found


@given(st.lists(st.sampled_from(["RETURN 1", "';'", "`;`", '";"', "/*;*/", "\n", " "]), max_size=6))
def test_every_statement_is_found_again(pieces: list[str]) -> None:
    whole = "RETURN 0" + "".join(pieces)
    assert list(statements(f"{whole};\n{whole};\n".splitlines(keepends=True))) == [whole.strip()] * 2


def test_a_statement_is_given_as_soon_as_it_ends() -> None:
    lines = iter(["RETURN 1;\n", "RETURN 2;\n"])
    assert next(statements(lines)) == "RETURN 1"
    assert next(lines) == "RETURN 2;\n"


def node(name: str) -> Node:
    return Node(Graph(), name, 1, ["Person"], {"name": name, "born": Date(1815, 12, 10)})


def test_values_become_json_and_cells() -> None:
    ada = node("Ada")
    assert plain(ada) == {"labels": ["Person"], "properties": {"name": "Ada", "born": "1815-12-10"}}
    assert plain([{"a": ada}, None, True, 1.5]) == [{"a": plain(ada)}, None, True, 1.5]
    assert [shown(value) for value in ("text", None, True, 1, [1, "a"])] == ["text", "null", "true", "1", '[1, "a"]']


def test_counters_become_words() -> None:
    counters = {
        "nodes_created": 2,
        "properties_set": 1,
        "indexes_added": 1,
        "labels_added": 0,
        "_contains_updates": True,
    }
    assert changes(counters) == ["2 nodes created", "1 property set", "1 index added"]


def test_relationships_and_paths_become_json() -> None:
    from neo4j.graph import Path as GraphPath

    graph = Graph()
    ada = Node(graph, "a", 1, ["Person"], {"name": "Ada"})
    knows = graph.relationship_type("KNOWS")(graph, "k", 2, {"since": 1833})
    knows._start_node = knows._end_node = ada  # as the driver does while it reads an answer
    assert plain(knows) == {"type": "KNOWS", "properties": {"since": 1833}}
    assert plain(GraphPath(ada, knows)) == {"nodes": [plain(ada)] * 2, "relationships": [plain(knows)]}


@pytest.mark.parametrize("uri", ["bolt://a:1", "http://a", "a.b", "bolt+s://", ""])
def test_only_encrypted_addresses_are_taken(run: Run, home: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "x")
    outcome = run("cypher", uri, "--user", "root")
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected bolt+s://HOST:PORT" in outcome.err


def test_without_a_terminal_no_password_is_asked_for(home: Path) -> None:
    command = [sys.executable, "-m", "podgate", "cypher", "bolt+s://a.localhost:1", "--user", "root"]
    asked = subprocess.run(command, input="RETURN 1;", capture_output=True, text=True, check=False)
    sentence = "podgate: standard input is no terminal to ask for the password; set NEO4J_PASSWORD\n"
    assert (asked.returncode, asked.stdout, asked.stderr) == (1, "", sentence)
