"""Templates: what a pod can be made of. Each is a data file, `<name>.toml`, with scripts beside it; README.md tells
what may stand in them.

Nothing here or in the runtimes knows one template from another: whatever sets one apart is written in its files.
"""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

KEEPER = "keeper"  # names the secret of a template's keeper among those of the levels
LONGEST_PARAMETER = 4096  # characters: a command line or a path (PATH_MAX)

_DIRECTORY = Path(__file__).parent
_Part = TypeVar("_Part")


class InvalidParameter(ValueError):
    """A parameter that a template cannot take: the field's name and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class InvalidTemplate(ValueError):
    """A template file that cannot be used; the text names the file and the field."""


@dataclass(frozen=True, slots=True)
class TemplateEndpoint:
    """One thing a pod listens on: a loopback port told to it in the variable `port`, or `socket` in its run/.

    `http` is the variable of a further port, where the server of a `bolt` endpoint speaks HTTP.
    """

    protocol: str
    name: str = ""
    port: str = ""
    socket: str = ""
    http: str = ""

    @property
    def http_key(self) -> str:
        """By what its HTTP side is known among the addresses of a pod; no endpoint can be called so."""
        return f"{self.name}/http"


@dataclass(frozen=True, slots=True)
class Ready:
    """One more question before a pod counts as ready, beside those its endpoints' protocols put."""

    protocol: str
    port: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """Software a template runs, unless a parameter that makes it needless is given."""

    name: str
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that can be chosen when a pod is created."""

    name: str
    help: str
    default: str = ""
    required: bool = False
    pattern: str = ""  # what a value must match as a whole, if it is not empty
    expected: str = ""  # the pattern in words
    excludes: str = ""  # another parameter that cannot be given together with this one


@dataclass(frozen=True, slots=True)
class Credential:
    """A user the pod knows, with the level whose secret is its password."""

    level: str
    user: str


@dataclass(frozen=True, slots=True)
class InCluster:
    """What a template is on Kubernetes: the image its scripts run in, and what differs there."""

    image: str = ""  # empty: its parameter `image` says it
    user: int = 0  # the uid it runs as, which its image knows; 0: what the image says, but never root
    group: int = 0  # the gid of its files; 0: the uid
    ports: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by variable
    sockets: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the port's variable in place of a socket
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what software is found by, in the image
    ready: str = ""  # a command that succeeds when it answers; else it is asked by [[ready]], or connected to
    read_only: bool = True  # it writes to its directories and /tmp alone
    trusts_gateway: bool = False  # whoever reaches its port is believed to be a gateway, or asked for nothing
    parameters: tuple[Parameter, ...] = ()  # it has them on Kubernetes alone


@dataclass(frozen=True, slots=True)
class Template:
    """What a template file says, checked."""

    name: str
    summary: str
    start: str = ""  # the script that becomes the pod's first process; without one its image says what runs
    prepare: str = ""  # the script that runs to its end before each start; it alone is given the pod's secrets
    cache: str = ""  # the script that makes, once for all pods, what the others find in $POD_CACHE
    ports: tuple[str, ...] = ()  # variables for further loopback ports that are no endpoints
    stop_signal: str = "SIGTERM"
    database_name: str = ""
    reserved_databases: tuple[str, ...] = ()
    keeper: str = ""  # the user that sets the passwords of the others; shown to nobody
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    software: tuple[Need, ...] = ()
    endpoints: tuple[TemplateEndpoint, ...] = ()
    ready: tuple[Ready, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    credentials: tuple[Credential, ...] = ()
    kubernetes: InCluster | None = None  # None: it does not run there

    @property
    def directory(self) -> Path:
        """Where its scripts are."""
        return _DIRECTORY

    @property
    def files(self) -> tuple[Path, ...]:
        """Give the files beside the template that belong to it: `<name>.*` and `<name>-*`."""
        found = [*_DIRECTORY.glob(f"{self.name}.*"), *_DIRECTORY.glob(f"{self.name}-*")]
        return tuple(sorted(path for path in found if path.suffix != ".toml"))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Give the names of the secrets each pod has: the levels of its users, and `keeper`."""
        levels = (credential.level for credential in self.credentials)
        return (*levels, *((KEEPER,) if self.keeper else ()))

    @property
    def port_variables(self) -> tuple[str, ...]:
        """Give the variables by which a pod is told its loopback ports."""
        return (*(endpoint.port for endpoint in self.endpoints if endpoint.port), *self.ports)

    def database(self, pod_name: str) -> str:
        """Give the name of the database a pod called `pod_name` serves; empty if it serves none."""
        name = self.database_name.replace("{pod}", pod_name.replace("-", "_"))
        return f"{name}_" if name in self.reserved_databases else name

    def check_parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        """Give all parameters with the defaults filled in. Raises InvalidParameter."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in given.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise InvalidParameter(name, f"template {self.name} has no such parameter; it has: {names}")
            _check_value(known[name], value, given)
        for name, parameter in known.items():
            if parameter.required and not given.get(name):
                raise InvalidParameter(name, f"template {self.name} needs it: {parameter.help}")
        return {name: given.get(name) or parameter.default for name, parameter in known.items()}


@functools.cache
def load_templates() -> Mapping[str, Template]:
    """Read the bundled templates, by name. Raises InvalidTemplate."""
    templates = (parse_template(path.stem, path.read_text()) for path in sorted(_DIRECTORY.glob("*.toml")))
    return MappingProxyType({template.name: template for template in templates})


def parse_template(name: str, text: str) -> Template:
    """Read a template from the text of its file. Raises InvalidTemplate."""
    try:
        content: dict[str, Any] = tomllib.loads(text)
        parts = {
            "software": tuple(_part(Need, item) for item in content.pop("software", [])),
            "ready": tuple(_part(Ready, item) for item in content.pop("ready", [])),
            "endpoints": tuple(_part(TemplateEndpoint, item) for item in content.pop("endpoint", [])),
            "parameters": tuple(_part(Parameter, item) for item in content.pop("parameter", [])),
            "credentials": tuple(_part(Credential, item) for item in content.pop("credential", [])),
        }
        cluster = content.pop("kubernetes", None)
        lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
        if not content.get("start") and cluster is None:
            raise ValueError("start: missing; name the script that becomes the pod's first process")
        template = _part(Template, {"name": name, **content, **lists, **parts})
        return template if cluster is None else dataclasses.replace(template, kubernetes=_in_cluster(template, cluster))
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise InvalidTemplate(f"template {name}: {error}") from error


def of_processes(templates: Mapping[str, Template]) -> dict[str, Template]:
    """Give the templates that can run as processes of this machine: those with a script to start."""
    return {name: template for name, template in templates.items() if template.start}


def _in_cluster(template: Template, content: dict[str, Any]) -> InCluster:
    """Read the table `kubernetes`; each endpoint must have its port there."""
    parameters = tuple(_part(Parameter, item) for item in content.pop("parameter", []))
    part = _part(InCluster, {**content, "parameters": parameters})
    needed = {*template.ports, *(each.port or part.sockets.get(each.socket, "") for each in template.endpoints)}
    missing = sorted(name or "of a socket" for name in needed if name not in part.ports)
    if missing or not needed:
        raise ValueError(f"kubernetes.ports: missing: {', '.join(missing) or 'at least one'}")
    return part


def _part(kind: type[_Part], content: Mapping[str, Any]) -> _Part:
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such field; there are {', '.join(sorted(known))}")
    return kind(**content)


def _check_value(parameter: Parameter, value: str, given: Mapping[str, str]) -> None:
    if len(value) > LONGEST_PARAMETER or "\0" in value:
        raise InvalidParameter(parameter.name, f"expected at most {LONGEST_PARAMETER} characters and no NUL among them")
    if value and parameter.pattern and not re.fullmatch(parameter.pattern, value):
        raise InvalidParameter(parameter.name, f"expected {parameter.expected}, got {value[:80]!r}")
    if value and given.get(parameter.excludes):
        raise InvalidParameter(parameter.name, f"cannot be given together with {parameter.excludes!r}; leave one out")
