"""What may be changed of the endpoints of each template."""

import pytest

from controller.api.endpoints import DEFAULT, InvalidEndpoint, endpoint_settings
from controller.api.poddocuments import EndpointChange
from controller.model import EndpointSettings
from controller.templates import load_templates

LIMITS = EndpointChange(most_links=50, most_links_of_user=5)


@pytest.mark.parametrize("template", ["postgres", "graph"])
def test_connections_to_a_database_can_be_limited(template: str) -> None:
    _, after = endpoint_settings(load_templates()[template], EndpointSettings(), DEFAULT, LIMITS)
    assert (after.most_links, after.most_links_of_user) == (50, 5)


@pytest.mark.parametrize("template", ["web", "jupyter", "tcp"])
def test_those_to_something_else_cannot(template: str) -> None:
    with pytest.raises(InvalidEndpoint, match="for databases") as refused:
        endpoint_settings(load_templates()[template], EndpointSettings(), DEFAULT, LIMITS)
    assert refused.value.field == "most_links"
