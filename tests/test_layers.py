"""The import rules of the packages: who may know whom, read from the source itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"gateway", "router", "controller", "certs", "bench", "podgate", "tests"}
STDLIB = set(sys.stdlib_module_names)
PURE = STDLIB - {"socket", "ssl", "time", "logging", "select", "selectors", "asyncio", "threading", "subprocess"}

PURE_OF_KUBERNETES = ("images", "order", "container", "manifests", "mirror", "seeing")

# The longest matching prefix rules: what a folder or file may import at the top level of a module's name.
MAY_IMPORT = {
    "router/": STDLIB | {"router"},
    "certs/": STDLIB | {"certs", "cryptography"},
    "gateway/": STDLIB
    | {"gateway", "router", "certs", "trio", "OpenSSL", "cryptography", "httpx", "jwt", "prometheus_client"},
    "gateway/wire/": PURE | {"gateway"},
    "controller/runtimes/shim.py": STDLIB,
    **{f"controller/runtimes/kubernetes/{name}.py": PURE | {"controller"} for name in PURE_OF_KUBERNETES},
}
# What is not restricted to a list may still not know these.
MAY_NOT_IMPORT = {
    "controller/": {"gateway", "podgate", "bench", "tests"},
    "podgate/": {"bench", "tests"},
}


def sources(prefix: str) -> list[Path]:
    place = ROOT / prefix
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.module and not node.level else f"{path.relative_to(ROOT).parts[0]}.relative"


def told(path: Path, names: set[str]) -> str:
    return f"{path.relative_to(ROOT)} imports {', '.join(sorted(names))}"


@pytest.mark.parametrize("prefix", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(prefix: str) -> None:
    deeper = [ROOT / other for other in MAY_IMPORT if other != prefix and other.startswith(prefix)]
    files = [path for path in sources(prefix) if not any(path.is_relative_to(other) for other in deeper)]
    assert files, f"{prefix} is gone: mend this test"
    found = [(path, {name.split(".")[0] for name in imports(path)} - MAY_IMPORT[prefix]) for path in files]
    assert [told(path, names) for path, names in found if names] == []


@pytest.mark.parametrize("prefix", MAY_NOT_IMPORT)
def test_a_package_does_not_know_another(prefix: str) -> None:
    found = [
        (path, {name.split(".")[0] for name in imports(path)} & MAY_NOT_IMPORT[prefix]) for path in sources(prefix)
    ]
    assert [told(path, names) for path, names in found if names] == []


def test_wire_code_imports_nothing_of_the_gateway_but_itself() -> None:
    found = [(path, {n for n in imports(path) if n.startswith("gateway")}) for path in sources("gateway/wire/")]
    beyond = [(path, {name for name in names if not name.startswith("gateway.wire")}) for path, names in found]
    assert [told(path, names) for path, names in beyond if names] == []


def test_one_file_knows_the_official_kubernetes_client() -> None:
    found = [
        path for path in sources("controller/") if any(name.split(".")[0] == "kubernetes" for name in imports(path))
    ]
    assert [str(path.relative_to(ROOT)) for path in found] == ["controller/runtimes/kubernetes/access.py"]
