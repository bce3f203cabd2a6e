"""The documents in which routes travel from a controller to its gateways.

    {"kind": "snapshot", "epoch": "…", "version": 7, "routes": [{…}, …], "quarantined": ["host", …]}
    {"kind": "delta", "epoch": "…", "version": 8, "put": [{…}], "remove": ["host", …]}

An epoch is one life of the publisher. Within it versions rise by one with each delta; a snapshot starts anew. Each
route is judged alone: one that cannot be used is quarantined (it has no route until it is mended, the closed side
to err on) and reported, and the others live. A gateway that passes a snapshot on passes on what it quarantined.

Both may carry credentials (`router.credentials`): a snapshot `"credentials": [{…}, …]`, a delta
`"credentials": {"put": [{…}], "remove": ["token:…", …]}`. One that cannot be read takes the one of its key away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from router.credentialdocument import ended_of_document, key_of_document, parse_credential, to_document
from router.credentials import Credential, Credentials, InvalidCredential
from router.hostname import InvalidName, check_pattern
from router.model import Route
from router.routedocument import InvalidRoute, host_of_document, parse_route
from router.table import RouteTable


class InvalidDocument(ValueError):
    """A document that is not a snapshot or a delta at all, or not the one that must come next."""


class Rejected(NamedTuple):
    """A route that could not be used: its host as far as it was readable, and the reason."""

    host: str
    reason: str


class Version(NamedTuple):
    """Which table a gateway runs: equal versions mean equal tables."""

    epoch: str
    number: int


NO_VERSION = Version("", 0)


@dataclass(frozen=True, slots=True)
class Routes:
    """A route table with its version, and what was quarantined on the way to it."""

    version: Version = NO_VERSION
    table: RouteTable = field(default_factory=RouteTable)
    credentials: Credentials = field(default_factory=Credentials)
    rejected: tuple[Rejected, ...] = ()


def snapshot_document(
    version: Version, routes: Iterable[Route], quarantined: Iterable[str] = (), credentials: Iterable[Credential] = ()
) -> dict[str, object]:
    """Make the document of a whole table."""
    records = [to_document(record) for record in credentials]
    return {
        "kind": "snapshot",
        "epoch": version.epoch,
        "version": version.number,
        "routes": [route.to_document() for route in routes],
        "quarantined": sorted(quarantined),
    } | ({"credentials": records} if records else {})


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What leads from one set of credentials to the next: records, and the keys of those that go."""

    put: tuple[Credential, ...] = ()
    remove: tuple[str, ...] = ()


def delta_document(
    version: Version, put: Iterable[Route], remove: Iterable[str], credentials: CredentialChange | None = None
) -> dict[str, object]:
    """Make the document that leads from the version before `version` to `version`."""
    document: dict[str, object] = {
        "kind": "delta",
        "epoch": version.epoch,
        "version": version.number,
        "put": [route.to_document() for route in put],
        "remove": list(remove),
    }
    if credentials is not None:
        records = [to_document(record) for record in credentials.put]
        document["credentials"] = {"put": records, "remove": list(credentials.remove)}
    return document


def advance(current: Routes, document: object) -> Routes:
    """Give the routes that `document` leads to from `current`. Raises InvalidDocument; `current` then still holds.

    `rejected` of the result tells what this document had to quarantine, not what earlier ones had.
    """
    if not isinstance(document, Mapping):
        raise InvalidDocument(f"routes: expected an object, got {type(document).__name__}")
    version = _version(document)
    if document.get("kind") == "snapshot":
        good, rejected = judge(_list(document, "routes"))
        before = [_host(host) for host in _list(document, "quarantined")] if "quarantined" in document else []
        records, faults = judge_credentials(_optional_list(document, "credentials"))
        table = RouteTable(good.values(), [*before, *_hosts(rejected)])
        return Routes(version, table, Credentials(records.values()), (*rejected, *faults))
    if document.get("kind") != "delta":
        raise InvalidDocument(f"routes: kind: expected 'snapshot' or 'delta', got {document.get('kind')!r}")
    expected = Version(current.version.epoch, current.version.number + 1)
    if version != expected:
        raise InvalidDocument(f"routes: delta {version} does not follow {current.version}")
    good, rejected = judge(_list(document, "put"))
    remove = [_host(host) for host in _list(document, "remove")]
    table = current.table.changed(good.values(), remove, _hosts(rejected))
    credentials, faults = _advance_credentials(current.credentials, document.get("credentials"))
    return Routes(version, table, credentials, (*rejected, *faults))


def judge_credentials(documents: Iterable[object]) -> tuple[dict[str, Credential], list[Rejected]]:
    """Part records into usable ones by key and rejected ones; of a key given twice, none is usable."""
    good: dict[str, Credential] = {}
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for number, document in enumerate(documents, 1):
        key = key_of_document(document)
        closed = ended_of_document(document)
        if key is not None and key in seen and closed is None:
            rejected.append(Rejected(key, "given more than once; none of them is used"))
            good.pop(key, None)
            continue
        try:
            record = parse_credential(document)
        except InvalidCredential as error:
            rejected.append(Rejected(key or f"credential {number}", str(error)))
            if closed is not None:
                good[closed.key] = closed
        else:
            good[record.key] = record
        if key is not None:
            seen.add(key)
    return good, rejected


def _advance_credentials(current: Credentials, change: object) -> tuple[Credentials, list[Rejected]]:
    if change is None:
        return current, []
    if not isinstance(change, Mapping):
        raise InvalidDocument(f"routes: credentials: expected an object, got {type(change).__name__}")
    records, rejected = judge_credentials(_list(change, "put"))
    remove = _list(change, "remove")
    if not all(isinstance(key, str) for key in remove):
        raise InvalidDocument("routes: credentials: remove: expected keys")
    if not records and not remove and not rejected:
        return current, []
    faulty = [item.host for item in rejected if item.host not in records]
    return current.changed(records.values(), [*map(str, remove), *faulty]), rejected


def judge(documents: Iterable[object]) -> tuple[dict[str, Route], list[Rejected]]:
    """Part route documents into usable routes by host and rejected ones; of a host given twice, none is usable."""
    good: dict[str, Route] = {}
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for number, document in enumerate(documents, 1):
        host = host_of_document(document)
        if host is not None and host in seen:
            rejected.append(Rejected(host, "host: given more than once; none of them is used"))
            good.pop(host, None)
            continue
        try:
            route = parse_route(document)
        except InvalidRoute as error:
            rejected.append(Rejected(host or f"route {number}", str(error)))
        else:
            good[route.host] = route
        if host is not None:
            seen.add(host)
    return good, rejected


def _version(document: Mapping[str, object]) -> Version:
    epoch, number = document.get("epoch"), document.get("version")
    if not isinstance(epoch, str) or not epoch or not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise InvalidDocument("routes: expected 'epoch', a text, and 'version', a whole number")
    return Version(epoch, number)


def _host(host: object) -> str:
    """Read a host to close; one that cannot be read would leave a route open, so nothing of its document is used."""
    if not isinstance(host, str):
        raise InvalidDocument(f"routes: remove: expected host names, got {type(host).__name__}")
    try:
        return check_pattern(host)
    except InvalidName as error:
        raise InvalidDocument(f"routes: remove: {error}") from error


def _hosts(rejected: Iterable[Rejected]) -> list[str]:
    """Give the hosts among what was rejected; an unreadable one is named by its place, which is none."""
    return [item.host for item in rejected if " " not in item.host]


def _optional_list(document: Mapping[str, object], key: str) -> list[object]:
    return _list(document, key) if key in document else []


def _list(document: Mapping[str, object], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise InvalidDocument(f"routes: {key}: expected a list, got {type(value).__name__}")
    return value
