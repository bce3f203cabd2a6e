"""Feed: the published routes and credentials of this life of the controller, and the gateways that follow them.

A life is an epoch; its versions rise by one with each change. A gateway that is behind gets the deltas it misses out
of one short memory that all gateways share, or a new snapshot when that no longer holds them: a slow gateway costs
no memory. A gateway is live while its stream is open.

A change goes out at once where nothing did shortly before. Where changes come one after the other, those of a few
milliseconds travel together (`controller.pacing`).

Replicas of a controller (`controller.replicas.feed`) number their versions as the store they share does.
"""

import json
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import trio

from controller.gateways import (
    NOBODY_SAID,
    Gateway,
    Lag,
    NameInUse,
    NotLive,
    NotPublished,
    Standing,
    Who,
)
from controller.publish import difference
from controller.pulse import Pulse
from router.credentials import Credential, Issuer
from router.model import Route, RouteState
from router.snapshot import (
    MOST_REJECTED,
    NO_VERSION,
    CredentialChange,
    Rejected,
    Version,
    delta_document,
    snapshot_document,
)

PING_EVERY = 5.0  # seconds
REMEMBERED_DELTAS = 4096  # of some 500 bytes: what changes in seconds where much does
MOST_REMEMBERED = 8 * 1024 * 1024  # bytes of these


@dataclass(frozen=True, slots=True)
class Told:
    """What changes: routes by host and records by key, None for those that go."""

    routes: Mapping[str, Route | None] = field(default_factory=dict)
    records: Mapping[str, Credential | None] = field(default_factory=dict)


class Feed:
    """The published routes, by the key of what they belong to."""

    def __init__(self, changed: Pulse, now: Callable[[], float] = time.time) -> None:
        self.gateways: dict[str, Gateway] = {}
        self.elsewhere: dict[str, Gateway] = {}  # those that follow another replica of this controller
        self._changed = changed  # beaten when a version is published or acknowledged, or a gateway comes or goes
        self._now = now
        self._version = Version(secrets.token_hex(8), 1)
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._changed_at: dict[str, int] = {}  # host: the version that last changed its route
        self._records: dict[str, dict[str, Credential]] = {}
        self._records_at: dict[str, int] = {}  # key of a record: the version that last changed it
        self._deltas: deque[bytes] = deque()  # up to the version published last
        self._remembered = 0  # bytes of these
        self._times: deque[tuple[int, float]] = deque(maxlen=REMEMBERED_DELTAS)  # when versions were published
        self._whole: tuple[int, bytes] | None = None  # the snapshot of the version published last, once it was made
        self._published = Pulse()

    @property
    def version(self) -> Version:
        """The version published last."""
        return self._version

    @property
    def live(self) -> Mapping[str, Gateway]:
        """The gateways that follow this controller or another replica of it."""
        return {**self.elsewhere, **self.gateways}

    def __len__(self) -> int:
        return len(self._changed_at)

    def routes(self) -> Iterator[Route]:
        """Give the routes published now."""
        return (route for routes in self._routes.values() for route in routes)

    def put(self, key: str, routes: tuple[Route, ...]) -> None:
        """Publish the routes of `key` in place of those it had."""
        put, remove = difference(self._routes.get(key, ()), routes)
        if not put and not remove:
            return
        self._routes[key] = routes
        if not routes:
            del self._routes[key]
        self._tell(Told(dict.fromkeys(remove) | {route.host: route for route in put}))

    def put_credentials(self, key: str, records: Iterable[Credential]) -> None:
        """Publish the records of `key`, such as all of one user, in place of those it had."""
        old, new = self._records.get(key, {}), {record.key: record for record in records}
        put = {name: record for name, record in new.items() if old.get(name) != record}
        remove = [name for name in old if name not in new]
        if not put and not remove:
            return
        self._records[key] = new
        if not new:
            del self._records[key]
        self._tell(Told(records=dict.fromkeys(remove) | put))

    def put_issuer(self, issuer: Issuer) -> None:
        """Publish whose JSON web tokens are taken, in place of what was published of it."""
        self.put_credentials(issuer.key, (issuer,))

    def routed(self, key: str) -> bool:
        """Tell whether every live gateway, one at least, runs the routes of `key` as they are, all available."""
        routes = self._routes.get(key, ())
        if any(route.state is not RouteState.AVAILABLE for route in routes):
            return False
        live = self.live.values()
        return bool(live) and all(self._runs(gateway, routes) for gateway in live)

    def taken(self, key: str) -> bool:
        """Tell whether every live gateway has been given the routes of `key` as they are, usable to it or not."""
        last = max((self._changed_at[route.host] for route in self._routes.get(key, ())), default=0)
        versions = [gateway.acknowledged for gateway in self.live.values()]
        return all(version.epoch == self._version.epoch and version.number >= last for version in versions)

    async def in_force(self, limit: float) -> bool:
        """Wait until every gateway that is up runs what is published now, for `limit` seconds at the most; tell whether
        all do. One that has never run anything does not count yet.
        """
        now = self._version
        with trio.move_on_after(limit):
            while any(not _has_passed(gateway.acknowledged, now) for gateway in self.live.values()):
                await self._changed.wait()
            return True
        return False

    def current(self, gateway: Gateway) -> bool:
        """Tell whether a gateway runs the version published last."""
        return gateway.acknowledged == self._version

    def lag(self, gateway: Gateway) -> Lag:
        """Tell how far a gateway is behind; of one that is farther than is remembered, since when at least."""
        epoch, number = gateway.acknowledged
        if epoch != self._version.epoch:
            return Lag(self._version.number, max(0.0, self._now() - gateway.since))
        missed = next((at for version, at in self._times if version > number), None)
        seconds = 0.0 if missed is None else max(0.0, self._now() - missed)
        return Lag(self._version.number - number, seconds)

    def greet(self, replica: str, who: Who) -> None:
        """See that a gateway may follow under its name. Raises NameInUse."""
        live = self.live.get(replica)
        if live is None or not live.is_other_than(who):
            return
        place = " and ".join(part for part in (live.who.address, *live.standing.addresses) if part) or "unknown"
        raise NameInUse(
            f"another gateway named {replica!r} is live (at {place}); give this one another name with --name, "
            "or stop that one first"
        )

    async def follow(
        self, replica: str, workers: int, who: Who = NOBODY_SAID, ran: Version = NO_VERSION
    ) -> AsyncGenerator[bytes, None]:
        """Give the routes and all that happens to them, a line each; a later stream of the same replica ends this.

        `ran`: the version that the gateway runs already, if any.
        """
        await self._reached(ran)
        gateway = self.gateways[replica] = Gateway(replica, workers, self._now(), who)
        self._published.beat()
        self._changed.beat()
        try:
            number, lines = self._snapshot()
            yield lines
            while self.gateways.get(replica) is gateway:
                due = gateway.pace.due(trio.current_time(), len(self.gateways))
                if number == self._version.number:
                    if not await self._published_in_time():
                        yield _line({"kind": "ping"})
                elif due > trio.current_time():
                    await trio.sleep_until(due)
                else:
                    number, lines = self._after(number)
                    gateway.pace.told(number, trio.current_time())
                    yield lines
        finally:
            if self.gateways.get(replica) is gateway:
                del self.gateways[replica]
                self._changed.beat()

    def acknowledge(self, replica: str, version: Version, rejected: Iterable[Rejected]) -> None:
        """Take note that a gateway runs `version`, and which routes it could not use on the way to it.

        Raises NotLive and NotPublished.
        """
        gateway = self.gateways.get(replica)
        if gateway is None:
            raise NotLive(replica)
        if version.epoch == self._version.epoch:
            if version.number > self._version.number:
                raise NotPublished(version.number)
            if version.epoch == gateway.acknowledged.epoch and version.number < gateway.acknowledged.number:
                return
            kept = {host: found for host, found in gateway.rejected.items() if self._still(host, found[0], version)}
            kept |= {host: (version.number, reason) for host, reason in rejected}
            gateway.rejected = dict(list(kept.items())[-MOST_REJECTED:])
            gateway.pace.acknowledged(version.number, trio.current_time())
        gateway.acknowledged = version
        self._changed.beat()

    def stand(self, replica: str, standing: Standing) -> None:
        """Take note of how a gateway is. Raises NotLive."""
        gateway = self.gateways.get(replica)
        if gateway is None:
            raise NotLive(replica)
        gateway.standing = standing

    async def _reached(self, version: Version) -> None:
        """Wait until this publishes what a gateway runs already: a life has published all there is of its own."""

    def _still(self, host: str, rejected_in: int, version: Version) -> bool:
        """Tell whether what was rejected is what `version` still has."""
        changed_at = self._changed_at.get(host, self._records_at.get(host, version.number))
        return changed_at <= rejected_in or changed_at > version.number

    def _runs(self, gateway: Gateway, routes: Iterable[Route]) -> bool:
        epoch, number = gateway.acknowledged
        return epoch == self._version.epoch and all(
            number >= self._changed_at[route.host] and route.host not in gateway.rejected for route in routes
        )

    async def _published_in_time(self) -> bool:
        with trio.move_on_after(PING_EVERY):
            await self._published.wait()
            return True
        return False

    def _after(self, number: int) -> tuple[int, bytes]:
        missed = self._version.number - number
        if missed > len(self._deltas):
            return self._snapshot()
        return self._version.number, b"".join(self._deltas[place] for place in range(-missed, 0))

    def _snapshot(self) -> tuple[int, bytes]:
        if self._whole is None:  # of many gateways that come at once, the first has it made for all
            routes = (route for routes in self._routes.values() for route in routes)
            records = (record for records in self._records.values() for record in records.values())
            self._whole = self._version.number, _line(snapshot_document(self._version, routes, (), records))
        return self._whole

    def _tell(self, told: Told) -> None:
        """Publish a change as the next version."""
        self._mark(told, self._version.number + 1)
        self._publish(told)

    def _mark(self, told: Told, number: int) -> None:
        """Know which version changes what."""
        for at, changes in ((self._changed_at, told.routes), (self._records_at, told.records)):
            for name, now in changes.items():
                if now is None:
                    at.pop(name, None)
                else:
                    at[name] = number

    def _publish(self, told: Told) -> None:
        self._version = self._version._replace(number=self._version.number + 1)
        put = [route for route in told.routes.values() if route is not None]
        records = tuple(record for record in told.records.values() if record is not None)
        remove, gone = _gone(told.routes), _gone(told.records)
        change = CredentialChange(records, gone) if records or gone else None
        self._remember(_line(delta_document(self._version, put, remove, change)))
        self._times.append((self._version.number, self._now()))
        self._published.beat()
        self._changed.beat()

    def _remember(self, line: bytes) -> None:
        """Keep a delta for those who miss it, as many as there is room for."""
        self._whole = None
        self._deltas.append(line)
        self._remembered += len(line)
        while len(self._deltas) > REMEMBERED_DELTAS or self._remembered > MOST_REMEMBERED:
            self._remembered -= len(self._deltas.popleft())

    def _skip(self, number: int) -> None:
        """Go on from a version that nobody is told of: who follows gets a snapshot."""
        self._version = self._version._replace(number=number)
        self._deltas.clear()
        self._times.clear()
        self._remembered = 0


def _gone(told: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name, thing in told.items() if thing is None)


def _has_passed(acknowledged: Version, version: Version) -> bool:
    is_same_life = acknowledged.epoch == version.epoch
    return acknowledged == NO_VERSION or (is_same_life and acknowledged.number >= version.number)


def _line(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
