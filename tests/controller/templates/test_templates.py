"""Template files are read strictly, and parameters are judged before anything is made."""

import pytest

from controller.templates import InvalidParameter, InvalidTemplate, load_templates, of_processes, parse_template


def test_the_bundled_templates_and_what_they_publish() -> None:
    published = {
        name: [(endpoint.name, endpoint.protocol) for endpoint in template.endpoints]
        for name, template in load_templates().items()
    }
    assert published == {
        "graph": [("", "bolt")],
        "image": [("", "http")],
        "jupyter": [("", "http")],
        "postgres": [("", "postgres")],
        "tcp": [("", "tcp")],
        "web": [("", "http")],
    }


@pytest.mark.parametrize("name", ["postgres", "graph", "jupyter", "tcp", "web"])
def test_every_script_a_template_names_is_among_its_files(name: str) -> None:
    template = load_templates()[name]
    files = {path.name for path in template.files}
    assert {script for script in (template.start, template.prepare, template.cache) if script} <= files
    assert not any(file.endswith(".toml") for file in files)


@pytest.mark.parametrize(
    ("template", "pod", "database"),
    [
        ("postgres", "my-data-base", "my_data_base"),
        ("postgres", "template1", "template1_"),
        ("postgres", "postgres", "postgres_"),
        ("graph", "my-graph", "graph"),
        ("web", "my-web", ""),
    ],
)
def test_database_names(template: str, pod: str, database: str) -> None:
    assert load_templates()[template].database(pod) == database


def test_credentials_by_level() -> None:
    levels = [(credential.level, credential.user) for credential in load_templates()["postgres"].credentials]
    assert levels == [("owner", "owner"), ("write", "writer"), ("read", "reader")]
    levels = [(credential.level, credential.user) for credential in load_templates()["graph"].credentials]
    assert levels == [("owner", "root"), ("write", "writer"), ("read", "reader")]


def test_a_keeper_has_a_secret_beside_those_of_the_levels() -> None:
    assert load_templates()["postgres"].secrets == ("owner", "write", "read", "keeper")
    assert load_templates()["graph"].secrets == ("owner", "write", "read")
    assert load_templates()["web"].secrets == ()


def test_parameters_get_their_defaults() -> None:
    checked = load_templates()["postgres"].check_parameters({"max_connections": "50"})
    assert checked == {"max_connections": "50", "shared_buffers": "64MB"}


@pytest.mark.parametrize(
    ("template", "given", "field", "reason"),
    [
        ("postgres", {"colour": "red"}, "colour", "no such parameter; it has: max_connections, shared_buffers"),
        ("postgres", {"max_connections": "many"}, "max_connections", "expected a number from 10 to 9999"),
        ("postgres", {"max_connections": "20\n"}, "max_connections", "expected a number"),
        ("graph", {"memory": "-1g"}, "memory", "such as 512m or 2g"),
        ("jupyter", {"python": "python3"}, "python", "expected the absolute path of a program"),
        ("web", {"directory": "site"}, "directory", "expected an absolute path"),
        ("web", {"directory": "/srv", "command": "true"}, "directory", "leave one out"),
        ("web", {"command": "a\0b"}, "command", "no NUL"),
        ("web", {"command": "x" * 4097}, "command", "at most 4096 characters"),
    ],
)
def test_parameters_that_are_refused(template: str, given: dict[str, str], field: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        load_templates()[template].check_parameters(given)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_a_parameter_of_the_greatest_length_is_taken() -> None:
    assert load_templates()["web"].check_parameters({"command": "x" * 4096})["command"] == "x" * 4096


def test_a_required_parameter_must_be_given() -> None:
    template = parse_template(
        "t", 'summary = "s"\nstart = "t.sh"\n[[parameter]]\nname = "key"\nhelp = "h"\nrequired = true'
    )
    with pytest.raises(InvalidParameter, match="key: template t needs it: h"):
        template.check_parameters({"key": ""})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("summary = ", "template t: "),
        ('summary = "s"', "start"),
        ('summary = "s"\nstart = "t.sh"\ncolour = 1', "colour: no such field"),
        ('summary = "s"\nstart = "t.sh"\n[[endpoint]]\nprotocl = "tcp"', "protocl: no such field"),
    ],
)
def test_template_files_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidTemplate, match=reason):
        parse_template("t", text)


def test_what_runs_where() -> None:
    templates = load_templates()
    assert set(of_processes(templates)) == {"graph", "jupyter", "postgres", "tcp", "web"}
    assert {name for name, each in templates.items() if each.kubernetes} == {
        "graph",
        "image",
        "jupyter",
        "postgres",
        "web",
    }


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("", "kubernetes.ports: missing: PORT"),
        ("ports = { OTHER = 1 }", "kubernetes.ports: missing: PORT"),
        ("ports = { PORT = 80 }\ncolour = 1", "colour: no such field"),
        ('ports = { PORT = 80 }\n[[kubernetes.parameter]]\nname = "n"', "help"),
    ],
)
def test_what_a_template_says_of_kubernetes_is_judged(part: str, reason: str) -> None:
    with pytest.raises(InvalidTemplate, match=reason):
        parse_template("t", f'summary = "s"\n[[endpoint]]\nprotocol = "tcp"\nport = "PORT"\n[kubernetes]\n{part}')


def test_a_socket_is_a_port_on_kubernetes() -> None:
    text = 'summary = "s"\n[[endpoint]]\nprotocol = "tcp"\nsocket = "s.sock"\n[kubernetes]\nports = { PORT = 80 }\n'
    with pytest.raises(InvalidTemplate, match="missing: of a socket"):
        parse_template("t", text)
    assert parse_template("t", text + 'sockets = { "s.sock" = "PORT" }').kubernetes is not None
