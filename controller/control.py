"""Control: the parts of one running controller, as the API uses them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from controller.feed import Feed
from controller.gatewaytokens import GatewayTokens
from controller.keeping import Keeping
from controller.model import Phase, Pod
from controller.people import People
from controller.pods import Pods
from controller.pulse import Pulse
from controller.runtimes import Runtime
from controller.settings import Settings
from controller.templates import Template
from router.snapshot import Rejected, Version


class Standing(NamedTuple):
    """What a replica of the controller knows of the others."""

    leader: str = ""  # which of them leads; empty: none does, or that is not known
    trouble: str = ""  # why it does not hear of them: what is wrong with the database; empty: nothing


PassOn = Callable[[str, Version, Sequence[Rejected]], Awaitable[bool]]


async def nobody_else(_replica: str, _version: Version, _rejected: Sequence[Rejected]) -> bool:
    """Find no other replica that a gateway follows."""
    return False


@dataclass(frozen=True, slots=True)
class Control:
    """What the API needs to answer; `scopes` gives the scope of a token by its hash."""

    settings: Settings
    pods: Pods
    people: People
    feed: Feed
    keeping: Keeping
    runtime: Runtime
    templates: Mapping[str, Template]
    changed: Pulse  # a pod, a route or a gateway changed, or the controller is about to end
    scopes: Mapping[str, str] = field(repr=False)
    gateway_tokens: GatewayTokens = field(repr=False)
    started_at: float
    ending: trio.Event = field(default_factory=trio.Event)
    standing: Callable[[], Standing] = Standing  # among replicas, if there are any
    pass_on: PassOn = nobody_else  # acknowledgements of gateways that follow another replica

    def routed(self, pod: Pod) -> bool:
        """Tell whether a pod is available and every live gateway, one at least, leads to it."""
        return pod.status.phase is Phase.AVAILABLE and self.feed.routed(pod.key)

    def end(self) -> None:
        """Say that the controller ends: streams and waits end now."""
        self.ending.set()
        self.changed.beat()
