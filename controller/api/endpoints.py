"""The endpoints of a pod as callers name them, and what may be changed of how they are used."""

from controller.api.poddocuments import EndpointChange
from controller.model import NO_RULES, EndpointSettings
from controller.templates import Template
from router.model import Protocol

DEFAULT = "default"  # what the endpoint without a name is called by callers


class InvalidEndpoint(ValueError):
    """A change of an endpoint that cannot be: the field at fault, empty for the endpoint itself, and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def endpoint_settings(
    template: Template, before: EndpointSettings, called: str, change: EndpointChange
) -> tuple[str, EndpointSettings]:
    """Give the name of an endpoint, and its settings with a change made. Raises InvalidEndpoint."""
    name = "" if called == DEFAULT else called
    endpoint = next((each for each in template.endpoints if each.name == name), None)
    if endpoint is None or called == "":
        there = ", ".join(each.name or DEFAULT for each in template.endpoints) or "none"
        raise InvalidEndpoint("", f"there is no such endpoint; there are: {there}")
    after = change.applied(before)
    if endpoint.protocol != Protocol.HTTP and after.web != NO_RULES:
        raise InvalidEndpoint("web", f"these rules are for http, and the endpoint speaks {endpoint.protocol}")
    if endpoint.protocol not in (Protocol.POSTGRES, Protocol.BOLT) and (after.most_links or after.most_links_of_user):
        field = "most_links" if after.most_links else "most_links_of_user"
        raise InvalidEndpoint(field, f"this limit is for databases, and the endpoint speaks {endpoint.protocol}")
    return name, after
