"""What pods give to whom, and how their endpoints are used, in the store: written whole for one pod at a time."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from sqlalchemy import Connection, Row, Select, Table, delete, insert, select

from controller.model import EndpointSettings, Link, Pod
from controller.store.schema import endpoints, grants, links
from router.access import AccessLevel
from router.routedocument import parse_network, parse_web_rules


@dataclass(slots=True)
class Shared:
    """What is stored of one pod."""

    grants: dict[str, AccessLevel] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    endpoints: dict[str, EndpointSettings] = field(default_factory=dict)

    @classmethod
    def of(cls, pod: Pod) -> Self:
        """Take it from a pod."""
        return cls(dict(pod.grants), list(pod.links), dict(pod.endpoints))


def read_shared(connection: Connection, keys: Collection[str] | None = None) -> dict[str, Shared]:
    """Read it of every pod that has any, or of those with these keys, by the pod's key."""
    found: dict[str, Shared] = {}
    for row in connection.execute(_of(grants, keys)):
        found.setdefault(row.pod, Shared()).grants[row.grantee] = AccessLevel.parse(row.level)
    for link in connection.execute(_of(links, keys).order_by(links.c.created, links.c.id)).mappings():
        values = {name: value for name, value in link.items() if name != "pod"}
        values["level"] = AccessLevel.parse(link["level"])
        found.setdefault(link["pod"], Shared()).links.append(Link(**values))
    for row in connection.execute(_of(endpoints, keys)):
        found.setdefault(row.pod, Shared()).endpoints[row.name] = _settings(row)
    return found


def _of(table: Table, keys: Collection[str] | None) -> Select[tuple[Any, ...]]:
    wanted = select(table)
    return wanted if keys is None else wanted.where(table.c.pod.in_(list(keys)))


def write_shared(connection: Connection, pod: Pod) -> None:
    """Write it of one pod, in place of what there was."""
    for table in (grants, links, endpoints):
        connection.execute(delete(table).where(table.c.pod == pod.key))
    for grantee, level in pod.grants.items():
        connection.execute(insert(grants).values(pod=pod.key, grantee=grantee, level=str(level)))
    for link in pod.links:
        connection.execute(insert(links).values(asdict(link) | {"pod": pod.key, "level": str(link.level)}))
    for name, settings in pod.endpoints.items():
        connection.execute(insert(endpoints).values(pod=pod.key, name=name, **_values(settings)))


def _values(settings: EndpointSettings) -> dict[str, object]:
    return {
        "access": None if settings.access is None else str(settings.access),
        "ip_allow": [str(network) for network in settings.ip_allow],
        "certificates": settings.certificates,
        "web": settings.web.to_document(),
        "hosts": list(settings.hosts),
        "most_links": settings.most_links,
        "most_links_of_user": settings.most_links_of_user,
    }


def _settings(row: Row[tuple[object, ...]]) -> EndpointSettings:
    return EndpointSettings(
        None if row.access is None else AccessLevel.parse(row.access),
        tuple(parse_network(network) for network in row.ip_allow),
        row.certificates,
        parse_web_rules(row.web),
        tuple(row.hosts),
        row.most_links,
        row.most_links_of_user,
    )
