"""Access: where the cluster's API is, how to know that it is it, and what to show it.

The only file that knows the official client, and it uses it for nothing but this: kubeconfig files with all their ways
to log in, and the service account of the Kubernetes pod we run in. It is slow to import and it blocks (files, programs
that fetch tokens), so it is imported when needed, and called in a thread.
"""

import os
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.settings import SettingsProblem

LONGEST_REASON = 500  # characters of what the official client says
_FILES = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}

Stamp = tuple[tuple[int, ...] | None, ...]


class CredentialsFailure(Exception):
    """What shows who we are cannot be had; the text is the official client's."""


async def nobody() -> dict[str, str]:
    """Show nothing."""
    return {}


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection to the API needs."""

    url: str  # without a `/` at its end
    verify: ssl.SSLContext | bool  # False of http alone
    server_name: str = ""  # if it is not the URL's host
    proxy: str = ""
    headers: Callable[[], Awaitable[dict[str, str]]] = nobody  # what shows who we are; asked anew now and then
    sources: tuple[Path, ...] = ()  # the files it was read from
    stamp: Stamp = ()  # theirs before they were read
    again: Callable[[], "Access"] | None = None  # reads it all anew; blocks, and fails in any way


def stamp_of(sources: Iterable[Path]) -> Stamp:
    """Give what tells whether files were replaced or changed. Blocks."""
    return tuple(map(_stamp, sources))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def load_access(settings: ClusterSettings) -> Access:
    """Read the kubeconfig, or the service account's files. Blocks. Raises SettingsProblem."""
    try:
        import yaml
        from kubernetes import config
        from kubernetes.client import Configuration
    except ImportError as error:
        raise SettingsProblem(
            "kubernetes: the official client is not installed; install it with: pip install '.[kubernetes]' in a clone"
        ) from error
    found: Any = Configuration()
    try:
        sources = tuple(_sources(settings))
        stamp = stamp_of(sources)
        if settings.kubeconfig:
            # By its name from now on: who chooses another one for kubectl does not mean this controller.
            context = settings.context or config.list_kube_config_contexts(settings.kubeconfig)[1]["name"]
            settings = replace(settings, context=context)
            config.load_kube_config(settings.kubeconfig, context, found, persist_config=False)
        else:
            config.load_incluster_config(found)
    except yaml.YAMLError as error:
        raise SettingsProblem(_told(settings, "it is not valid YAML")) from error
    except (TypeError, AttributeError, LookupError, ValueError) as error:  # what the client makes of other YAML
        raise SettingsProblem(_told(settings, f"it is no kubeconfig ({type(error).__name__})")) from error
    except config.ConfigException as error:
        is_missing = str(error).endswith("No configuration found.")
        told = "nothing is there" if is_missing else str(error).rstrip(".")
        raise SettingsProblem(_told(settings, told)) from error
    except OSError as error:
        raise SettingsProblem(_told(settings, error.strerror or "it cannot be read")) from error
    return _access(found, sources, stamp, partial(load_access, settings))


def _sources(settings: ClusterSettings) -> Iterator[Path]:
    """Give the files that an access is read from. Raises OSError; what else is wrong with them is told by who reads."""
    if not settings.kubeconfig:
        from kubernetes.config.incluster_config import SERVICE_CERT_FILENAME, SERVICE_TOKEN_FILENAME

        yield from map(Path, (SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME))
        return
    import yaml

    for name in filter(None, settings.kubeconfig.split(os.pathsep)):
        path = Path(name).expanduser()
        yield path
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for kind, fields in _FILES.items():
            for each in _named(content, kind):
                yield from (path.parent / str(each[field]) for field in fields if each.get(field))


def _named(content: object, kind: str) -> Iterator[dict[str, Any]]:
    """Give the clusters or users of a kubeconfig."""
    entries = content.get(kind) if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        found = entry.get(kind[:-1]) if isinstance(entry, dict) else None
        if isinstance(found, dict):
            yield found


def _told(settings: ClusterSettings, reason: str) -> str:
    if settings.kubeconfig:
        return f"kubernetes: {settings.kubeconfig}: {reason}; give a kubeconfig that works with kubectl"
    return f"kubernetes: there is no service account here: {reason}; give --kubeconfig, or run in the cluster"


def _access(
    found: Any,  # noqa: ANN401  # the official Configuration, of which we know four fields
    sources: tuple[Path, ...],
    stamp: Stamp,
    again: Callable[[], Access],
) -> Access:
    alone = trio.CapacityLimiter(1)

    async def headers() -> dict[str, str]:
        try:
            shown = await trio.to_thread.run_sync(found.auth_settings, abandon_on_cancel=True, limiter=alone)
        except Exception as error:  # programs and files of the kubeconfig, which may fail in any way
            raise CredentialsFailure(str(error)[:LONGEST_REASON]) from error
        return {each["key"]: each["value"] for each in shown.values() if each["in"] == "header" and each["value"]}

    return Access(
        url=_url(str(found.host)),
        verify=_verification(found),
        server_name=found.tls_server_name or "",
        proxy=found.proxy or "",
        headers=headers,
        sources=sources,
        stamp=stamp,
        again=again,
    )


def _verification(found: Any) -> ssl.SSLContext | bool:  # noqa: ANN401
    """Give the TLS settings. Raises SettingsProblem where a file cannot be used."""
    if not str(found.host).startswith("https"):
        return False
    try:
        context = ssl.create_default_context(cafile=found.ssl_ca_cert or None)
        if found.cert_file:
            context.load_cert_chain(found.cert_file, found.key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsProblem(f"kubernetes: a certificate of the kubeconfig cannot be used: {error}") from error
    if not found.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _url(host: str) -> str:
    """Give where the API is, which owners of pods are told when it does not answer. Raises SettingsProblem."""
    if "@" in urlsplit(host).netloc:
        raise SettingsProblem("kubernetes: the cluster's server has a user in its address; name that one in `users`")
    return host.rstrip("/")
