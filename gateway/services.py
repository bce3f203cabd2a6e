"""What the connections of a worker share."""

from contextlib import ExitStack
from dataclasses import dataclass, field

from gateway.bolt.versions import Versions
from gateway.cancelling import Session, Sessions
from gateway.certificates import Certificates
from gateway.failures import Failures
from gateway.loop import Loop
from gateway.options import Options
from gateway.quota import Quota
from gateway.relay import Relay
from gateway.tls import Contexts
from gateway.web.engine import Engine


@dataclass(slots=True)
class Services:
    """What the connections of a worker share."""

    options: Options
    loop: Loop
    relay: Relay
    certificates: Certificates
    contexts: Contexts
    engine: Engine = field(default_factory=Engine)  # its policy is replaced whole when routes or credentials change
    sessions: Sessions = field(default_factory=Sessions)
    quota: Quota = field(default_factory=Quota)
    failures: Failures = field(default_factory=Failures)
    leaving: set[Session] = field(default_factory=set)  # sessions that are seen out
    kept: set[ExitStack] = field(default_factory=set)  # places of sessions whose database is still at work
    versions: Versions = field(default_factory=Versions)
