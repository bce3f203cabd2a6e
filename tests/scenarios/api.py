"""Podgate's API for what a scenario only prepares: a `podgate` command takes half a second of one core each time."""

import time
from typing import Any

from tests.running import PATIENCE, Pod, Podgate


def call(podgate: Podgate, method: str, path: str, **body: object) -> Any:
    """Call as the administrator; give what is answered.

    Every gateway knows what it changes when this returns: the answer alone waits for them for a second at most.
    """
    answer = podgate.call(method, path, **body)
    if method != "GET":
        everywhere(podgate)
    return answer


def create(podgate: Podgate, name: str, template: str, access: str, **parameters: str) -> Pod:
    """Make a pod; every gateway routes to it when this returns."""
    call(podgate, "POST", "pods", name=name, template=template, access=access, parameters=parameters)
    pod: Pod = call(podgate, "GET", f"pods/{name}/wait?until=routed&timeout={PATIENCE}")
    return pod


def delete(podgate: Podgate, name: str) -> None:
    """Delete a pod and wait until it has gone."""
    call(podgate, "DELETE", f"pods/{name}")
    call(podgate, "GET", f"pods/{name}/wait?until=gone&timeout={PATIENCE}")


def share(podgate: Podgate, pod: str, user: str, level: str) -> None:
    """Give somebody a level on a pod."""
    call(podgate, "PUT", f"pods/{pod}/grants/user:{user}", level=level)


def in_force(podgate: Podgate, pod: str) -> None:
    """Wait until every gateway decides by what was changed last of a pod."""
    call(podgate, "GET", f"pods/{pod}/wait?until=routed&timeout={PATIENCE}")
    everywhere(podgate)


def everywhere(podgate: Podgate) -> None:
    """Wait until every gateway knows all that was published."""
    last = time.monotonic() + PATIENCE
    while not all(gateway["current"] for gateway in podgate.call("GET", "status")["gateways"]):
        assert time.monotonic() < last
