"""Access: where the cluster's API is, how to know that it is it, and what to show it.

The only file that knows the official client, and it uses it for nothing but this: kubeconfig files with all their ways
to log in, and the service account of the Kubernetes pod we run in. It is slow to import and it blocks (files, programs
that fetch tokens), so it is imported when needed, and called in a thread.
"""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from controller.runtimes.kubernetes.settings import ClusterSettings
from controller.settings import SettingsProblem

LONGEST_REASON = 500  # characters of what the official client says


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
        if settings.kubeconfig:
            context = settings.context or None
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
    return _access(found)


def _told(settings: ClusterSettings, reason: str) -> str:
    if settings.kubeconfig:
        return f"kubernetes: {settings.kubeconfig}: {reason}; give a kubeconfig that works with kubectl"
    return f"kubernetes: there is no service account here: {reason}; give --kubeconfig, or run in the cluster"


def _access(found: Any) -> Access:  # noqa: ANN401  # the official Configuration, of which we know four fields
    alone = trio.CapacityLimiter(1)

    async def headers() -> dict[str, str]:
        try:
            shown = await trio.to_thread.run_sync(found.auth_settings, abandon_on_cancel=True, limiter=alone)
        except Exception as error:  # programs and files of the kubeconfig, which may fail in any way
            raise CredentialsFailure(str(error)[:LONGEST_REASON]) from error
        return {each["key"]: each["value"] for each in shown.values() if each["in"] == "header" and each["value"]}

    return Access(
        url=str(found.host).rstrip("/"),
        verify=_verification(found),
        server_name=found.tls_server_name or "",
        proxy=found.proxy or "",
        headers=headers,
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
