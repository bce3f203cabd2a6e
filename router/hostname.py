"""Host names: what they may look like, and how a pod's name and an endpoint's name make one.

    <pod>.<domain>              the default endpoint
    <pod>--<endpoint>.<domain>  any other endpoint: one label, so that one wildcard certificate covers everything

Sources: RFC 1123 section 2.1 (labels), RFC 6066 section 3 (server names are ASCII, without a trailing dot and
never an IP address).
"""

import re

LONGEST_HOST = 253  # characters (RFC 1035, section 2.3.4)
LONGEST_ENDPOINT_NAME = 20  # characters: 40 of the pod, "--" and these stay within one label of 63

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ADDRESS = re.compile(r"[0-9.]+")  # every IPv4 address, and no name anybody may own: top-level names are not numbers
_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?!-))*[a-z0-9]")
_ENDPOINT_NAME = re.compile(r"[a-z](?:(?:[a-z0-9]|-(?!-))*[a-z0-9])?")

# Names that the service itself may need below its domain, now or later.
RESERVED_NAMES = frozenset(
    "admin api auth autoconfig autodiscover cdn console dashboard docs ftp gateway help health imap localhost login "
    "logout mail metrics mta oauth ops podgate pop root router security signin smtp static status support system "
    "tunnel wpad www".split()
)


class InvalidName(ValueError):
    """A name that breaks the rules; the text says which name, which rule, and what would do."""


def normalise(server_name: str) -> str:
    """Give the lower-case form of a host name as routes are keyed by it. Raises InvalidName."""
    host = server_name.lower()
    # The Kelvin sign is a letter beyond ASCII whose lower case is "k".
    well_formed = server_name.isascii() and len(host) <= LONGEST_HOST and _HOST.fullmatch(host)
    if not well_formed or _ADDRESS.fullmatch(host):
        raise InvalidName(f"host: {_shown(server_name)} is not a host name: expected labels of letters, digits and '-'")
    return host


def check_pattern(pattern: str) -> str:
    """Give the normal form of a route's host: a host name, or `*.` before one. Raises InvalidName."""
    if pattern.startswith("*."):
        return "*." + normalise(pattern[2:])
    return normalise(pattern)


def check_pod_name(name: str) -> str:
    """Give back `name` if it may name a pod. Raises InvalidName."""
    if not 3 <= len(name) <= 40 or not _NAME.fullmatch(name):
        raise InvalidName(
            f"name: {_shown(name)} cannot name a pod: expected 3 to 40 characters, a letter first, then letters, "
            "digits and single '-', all lower-case, and no '-' at the end"
        )
    if name in RESERVED_NAMES:
        raise InvalidName(f"name: {name!r} is reserved for the service itself; choose another, such as 'my-{name}'")
    return name


def check_endpoint_name(name: str) -> str:
    """Give back `name` if it may name an endpoint; the default endpoint's is empty. Raises InvalidName."""
    if name and (len(name) > LONGEST_ENDPOINT_NAME or not _ENDPOINT_NAME.fullmatch(name)):
        raise InvalidName(
            f"endpoint: {_shown(name)} cannot name an endpoint: expected at most {LONGEST_ENDPOINT_NAME} characters, "
            "a letter first, then letters, digits and single '-', all lower-case"
        )
    return name


def host_of(pod: str, endpoint: str, domain: str) -> str:
    """Make the host name of a pod's endpoint, for example `mydb--metrics.pods.example.org`."""
    label = f"{pod}--{endpoint}" if endpoint else pod
    return f"{label}.{domain}"


def wildcard_of(host: str) -> str:
    """Give the wildcard that covers `host`: its first label replaced by `*`; empty if it has but one label."""
    _label, dot, suffix = host.partition(".")
    return f"*.{suffix}" if dot else ""


def _shown(name: str) -> str:
    """Bound what strangers can write into a message."""
    return repr(name) if len(name) <= 80 else repr(name[:80]) + "…"
