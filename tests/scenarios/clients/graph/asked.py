"""What the features of a driver are made with: the driver itself, by which way in, and codes of what it refuses."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

neo4j: Any = import_module("neo4j")  # of a version that the type checker does not see
MODERN = not neo4j.__version__.startswith("4.")
FEATURES: dict[str, Callable[..., Any]] = {}


def feature(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        FEATURES[name] = function
        return function

    return keep


class Client:
    """A driver and what it was made of."""

    def __init__(self, way: dict[str, Any]) -> None:
        self.way = way
        self.driver = self.another(way["auth"])

    def another(self, auth: dict[str, str]) -> Any:
        return neo4j.GraphDatabase.driver(self.way["uri"], auth=auth_of(auth), **self.way.get("options", {}))

    def session(self, **options: Any) -> Any:
        return self.driver.session(**{"database": self.way["database"], **options})

    def ask(self, query: str, **parameters: Any) -> Any:
        """Give the one value of the one record, in a session of its own."""
        with self.session() as session:
            return session.run(query, parameters).single()[0]


def auth_of(auth: dict[str, str]) -> Any:
    if "user" in auth:
        return neo4j.basic_auth(auth["user"], auth["password"])
    return neo4j.bearer_auth(auth["token"])


def code_of(function: Callable[[], Any]) -> str:
    """Give the code with which something is refused."""
    try:
        function()
    except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError) as error:
        return str(getattr(error, "code", None) or type(error).__name__)
    return "nothing refused"


def failing(run: Callable[[str], Any], query: str) -> str:
    return code_of(lambda: run(query).consume())


def managed(session: Any, kind: str, work: Callable[[Any], Any]) -> Any:
    return getattr(session, f"execute_{kind}" if MODERN else f"{kind}_transaction")(work)
