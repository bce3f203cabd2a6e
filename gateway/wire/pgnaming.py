"""Which pod a Postgres client wants that cannot say it in TLS, and how its user wants to log in.

In the startup message's `options`, as PostgreSQL itself reads them (`pg_split_opts`: words between white space, where a
backslash takes any next character as it is), the pod stands as `-c podgate.pod=NAME`, `-cpodgate.pod=NAME`,
`--podgate.pod=NAME`, or `endpoint=NAME` as a word of its own, which is Neon's way. Or it stands behind the user's name:
`alice@NAME`. Percent signs are decoded by clients, from their URLs, and never here: neither does Neon.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.wire.postgres import Startup
from gateway.wire.verdict import Malformed

ASKS_FOR_PASSWORD = "+password"  # noqa: S105 - what a user name ends with that wants to be asked for a password

_SETTING = "podgate.pod"
_NEON = "endpoint="
_WORD = re.compile(r"(?:\\.|[^\\ \t\n\v\f\r])+\\?|\\", re.DOTALL)  # a backslash at the very end stands for nothing
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Named:
    """The pod a client asks for, empty if it names none, and its parameters without that."""

    pod: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    pod: str
    first: int  # the words that name it
    after: int  # the word behind them


def name_the_pod(startup: Startup) -> Named:
    """Find the pod that a startup message names. What does not name it stays as it is, byte for byte. Raises
    Malformed for an empty name, and for a pod that is named twice.
    """
    parameters = dict(startup.parameters)
    options = parameters.get("options", "")
    words = list(_WORD.finditer(options))
    places = list(_places([_ESCAPED.sub(r"\1", word[0]) for word in words]))
    user, at, pod = parameters.get("user", "").rpartition("@")
    pods = [place.pod for place in places] + ([pod] if at else [])
    if len(pods) > 1:
        raise Malformed(f"startup: names the pod {len(pods)} times, expected once")
    if "" in pods:
        raise Malformed("startup: names a pod without a name")
    if at:
        parameters["user"] = user
    for place in places:
        parameters["options"] = _without(options, words, place)
        if not parameters["options"]:
            del parameters["options"]
    return Named("".join(pods), parameters)


def split_user(text: str) -> tuple[str, bool]:
    """Split a user name from the wish to be asked for a password in clear text: `alice+password`."""
    name = text.removesuffix(ASKS_FOR_PASSWORD)
    return name, name != text


def _places(words: Sequence[str]) -> Iterator[_Place]:
    """Find what names a pod among the words of options."""
    at = 0
    while at < len(words):
        word, first, setting = words[at], at, ""
        at += 1
        if word == "-c" and at < len(words):
            setting = words[at]
            at += 1
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        elif word.startswith(_NEON):
            yield _Place(word.removeprefix(_NEON), first, at)
        name, _equals, pod = setting.partition("=")
        if name.lower() == _SETTING:  # PostgreSQL takes names of settings in any case
            yield _Place(pod, first, at)


def _without(options: str, words: Sequence[re.Match[str]], place: _Place) -> str:
    """Cut a place out, with the white space behind it, or at the end with that before it."""
    if place.after < len(words):
        return options[: words[place.first].start()] + options[words[place.after].start() :]
    return options[: words[place.first - 1].end()] if place.first else ""
