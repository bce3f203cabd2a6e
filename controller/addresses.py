"""How a pod is reached from outside, as its clients write it: hosts, ports and URIs that work as they stand."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import quote

from controller.model import Pod
from controller.settings import Settings
from controller.templates import Template, TemplateEndpoint
from router.access import AccessLevel
from router.hostname import host_of

HTTPS_PORT = 443


def credentials_of(pod: Pod, template: Template | None) -> dict[str, tuple[str, str]]:
    """Give user and password by level."""
    given = template.credentials if template else ()
    return {each.level: (each.user, pod.secrets[each.level]) for each in given if each.level in pod.secrets}


def uris_of(pod: Pod, template: Template | None, settings: Settings, user: str) -> dict[str, str]:
    """Give the URIs of all endpoints for `user`; those of another than the default one are keyed with its name before.

    A Postgres endpoint that is public has one for each of the pod's own users, with the password in it. Any other is
    entered under one's own name, by a token that no URI holds.
    """
    uris: dict[str, str] = {}
    for endpoint in template.endpoints if template else ():
        prefix = f"{endpoint.name}:" if endpoint.name else ""
        for key, uri in _uris(pod, template, endpoint, settings, user).items():
            uris[prefix + key] = uri
    return uris


def _uris(
    pod: Pod, template: Template | None, endpoint: TemplateEndpoint, settings: Settings, user: str
) -> Mapping[str, str]:
    host = host_of(pod.name, endpoint.name, settings.domain)
    port = settings.public_port
    if endpoint.protocol == "postgres":
        database = template.database(pod.name) if template else ""
        if pod.access_of(endpoint.name) is not AccessLevel.PUBLIC:
            return {"postgres": _postgres(quote(user, safe=""), host, database, settings)}
        users = credentials_of(pod, template).items()
        logins = {level: f"{quote(name, safe='')}:{quote(password, safe='')}" for level, (name, password) in users}
        return {level: _postgres(login, host, database, settings) for level, login in logins.items()}
    if endpoint.protocol == "bolt":
        schemes = {"neo4j": f"neo4j+s://{host}:{port}", "bolt": f"bolt+s://{host}:{port}"}
        return {**schemes, "https": _https(host, port)} if endpoint.http else schemes
    if endpoint.protocol == "http":
        return {"https": _https(host, port)}
    return {"tls": f"{host}:{port}"}


def _https(host: str, port: int) -> str:
    return f"https://{host}/" if port == HTTPS_PORT else f"https://{host}:{port}/"


def _postgres(login: str, host: str, database: str, settings: Settings) -> str:
    options = f"sslmode=verify-full&sslrootcert={quote(str(settings.ca))}"
    if settings.domain == "localhost" or settings.domain.endswith(".localhost"):
        options += f"&hostaddr={quote(_reachable(settings.public_host))}"
    return f"postgresql://{login}@{host}:{settings.public_port}/{quote(database, safe='')}?{options}"


def _reachable(listening: str) -> str:
    """Give an address clients can use for one the gateway listens on: 'all addresses' is none."""
    try:
        address = ipaddress.ip_address(listening)
    except ValueError:
        return "127.0.0.1"
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"
