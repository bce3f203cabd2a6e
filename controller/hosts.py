"""Hosts of an endpoint outside the pods' domain: only an administrator gives them, and each leads to one endpoint.

Nobody asks here whom such a name belongs to: that is what makes it an administrator's matter.
"""

from collections.abc import Iterable

from controller.identity import Conflict
from controller.model import Pod
from controller.settings import Settings


def check_free(hosts: Iterable[str], pod: Pod, endpoint: str, pods: Iterable[Pod], settings: Settings) -> None:
    """See that `hosts` may lead to an endpoint of a pod. Raises Conflict."""
    taken = {
        host: other.name
        for other in pods
        for name, used in other.endpoints.items()
        for host in used.hosts
        if (other.key, name) != (pod.key, endpoint)
    }
    for host in hosts:
        if host == settings.domain or host.endswith(f".{settings.domain}"):
            raise Conflict(f"{host} is in the pods' own domain, where pods have their names by themselves", "hosts")
        if host == settings.console_host:
            raise Conflict(f"{host} is where people sign in; choose another", "hosts")
        if host in taken:
            raise Conflict(f"{host} leads to pod {taken[host]!r}; take it from there first", "hosts")
