"""Metrics: what `GET /metrics` at the address for health tells of a replica, in the text format of Prometheus.

All of it is known to the supervisor anyway and looked up when somebody asks. No name of a pod, a person or a client is
in it, and nothing has a label: there are as many series as lines here, however many pods there are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.routing import InForce
from gateway.standing import Standing

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class Measures:
    """What a replica knows of itself at a moment."""

    is_ready: bool
    standing: Standing
    routes: InForce
    workers: int  # that there are to be
    ended: int  # workers that did so unasked, so far
    connections: Mapping[str, int]  # of all workers there were, as they told: `gateway.server`
    expiry: float  # seconds since 1970, of the certificate of clients that name no host


class Page(Collector):
    """Writes the page."""

    def __init__(self, look: Callable[[], Measures]) -> None:
        """`look` gives what there is to tell now."""
        self._look = look

    def write(self) -> bytes:
        """Write it as it is now."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Give the values, for the library to write."""
        now = self._look()
        for name, (value, text) in _gauges(now).items():
            yield GaugeMetricFamily(f"podgate_{name}", text, value)
        for name, (value, text) in _counters(now).items():
            yield CounterMetricFamily(f"podgate_{name}", text, value)


_Values = dict[str, tuple[float, str]]


def _gauges(now: Measures) -> _Values:
    standing, routes = now.standing, now.routes
    return {
        "ready": (now.is_ready, "Whether connections should be sent here."),
        "draining": (standing.draining, "Whether it is about to end."),
        "workers": (standing.workers, "Workers that accept connections."),
        "workers_configured": (now.workers, "Workers that there are to be."),
        "links": (standing.links, "Established pairs of a client and an upstream."),
        "openings": (standing.openings, "Connections that are accepted and not established yet."),
        "routes": (routes.routes, "Routes that it goes by."),
        "routes_quarantined": (routes.quarantined, "Hosts without a route because theirs cannot be used."),
        "routes_version": (routes.version, "Version of the routes that all workers run; 0: none."),
        "routes_version_told": (routes.told, "Version that the source of the routes told last."),
        "routes_lag_seconds": (routes.lag, "For how long a worker has gone by something older than what was told."),
        "routes_source_up": (routes.is_followed, "Whether the source of the routes (controller or file) is followed."),
        "certificate_expiry_timestamp_seconds": (now.expiry, "When the default certificate expires."),
    }


def _counters(now: Measures) -> _Values:
    told = now.connections
    return {
        "workers_ended": (now.ended, "Workers that ended unasked, and were replaced."),
        "connections_accepted": (told.get("accepted", 0), "Connections taken from the kernel's queue."),
        "connections_dropped": (told.get("dropped", 0), "Of these, dropped by chance (--early-drop)."),
        "connections_refused": (told.get("refused", 0), "Of these, closed at once because of a limit."),
    }
