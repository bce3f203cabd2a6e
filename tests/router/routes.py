"""Routes for tests: a short way to write one, and hypothesis strategies for all of them."""

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import strategies as st

from router.access import AccessLevel
from router.database import MOST_LINKS, Database, Login
from router.model import Protocol, Route, RouteState, TcpAddress, UnixAddress, WebRules


def route(host: str, upstream: int = 1) -> Route:
    """A route like many others, told apart by `upstream`."""
    return Route(host, Protocol.TCP, (TcpAddress("127.0.0.1", upstream),), AccessLevel.PUBLIC)


# Few labels, so that names meet: exact and wildcard, parent and child.
labels = st.sampled_from(["a", "b", "c"])
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
patterns = st.one_of(hosts, hosts.map(lambda host: f"*.{host}"))

tcp_addresses = st.builds(
    TcpAddress,
    st.one_of(st.ip_addresses().map(str), st.sampled_from(["localhost", "db.internal", "a-b.c"])),
    st.integers(1, 65535),
)
socket_paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).map("/".__add__)
addresses = st.one_of(tcp_addresses, socket_paths.map(UnixAddress))
printable = st.text(st.characters(codec="utf-8"), max_size=20).filter(str.isprintable)
logins = st.builds(Login, printable.filter(bool), printable.filter(bool))
counts = st.integers(0, MOST_LINKS)
databases = st.builds(
    Database,
    printable,
    st.dictionaries(
        st.sampled_from([level for level in AccessLevel if level is not AccessLevel.PUBLIC]),
        st.lists(logins, min_size=1, max_size=2).map(tuple),
        max_size=2,
    ),
    counts,
    counts,
)
any_routes = st.builds(
    Route,
    patterns,
    st.sampled_from(Protocol),
    st.lists(addresses, max_size=3).map(tuple),
    st.sampled_from(AccessLevel),
    st.sampled_from(RouteState),
    st.text(max_size=20),
    pod=st.text(max_size=5),
    grants=st.dictionaries(
        st.sampled_from(["user:alice", "group:lab", "link:L-1", "everyone"]), st.sampled_from(AccessLevel), max_size=3
    ),
    ip_allow=st.lists(st.ip_addresses().map(lambda ip: ip_network(str(ip))), max_size=2).map(tuple),
    certificates=st.booleans(),
    web=st.builds(
        WebRules,
        st.lists(st.sampled_from(["*", "https://a.test", "http://[::1]:80"]), max_size=2).map(tuple),
        st.none() | st.integers(0, 2**53 - 1),
        st.just(0.0) | st.floats(0.001, 1e9),
        st.integers(0, 1000),
        st.floats(0, 1e9),
    ),
)
database_protocols = st.sampled_from([Protocol.POSTGRES, Protocol.BOLT])
routes = (
    any_routes
    | st.builds(replace, any_routes, protocol=database_protocols, database=databases)
    | st.builds(
        replace,
        any_routes,
        protocol=st.just(Protocol.BOLT),
        http=st.lists(addresses, min_size=1, max_size=3).map(tuple),
    )
)
