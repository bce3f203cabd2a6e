"""Names of images: what they mean when written in full, and whether one may run. Pure.

The grammar is that of the distribution project (https://pkg.go.dev/github.com/distribution/reference).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

LONGEST_NAME = 255  # characters of registry and path together

_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_REGISTRY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRefused(ValueError):
    """An image that cannot be named so, or is not allowed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image's name in full: `nginx` is `docker.io/library/nginx:latest`."""

    name: str  # registry and path
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


def parse_image(text: str) -> Image:
    """Read an image's name. Raises ImageRefused."""
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    first, _slash, path = f"{head}{slash}{last}".partition("/")
    if not path or not ("." in first or ":" in first or first == "localhost"):
        first, path = "docker.io", f"{head}{slash}{last}"
    if first == "docker.io" and "/" not in path:
        path = f"library/{path}"
    name = f"{first}/{path}"
    wrong = not _REGISTRY.fullmatch(first) or len(name) > LONGEST_NAME or not _PATH.fullmatch(path)
    if wrong or (colon and not _TAG.fullmatch(tag)) or (at and not _DIGEST.fullmatch(digest)):
        raise ImageRefused(f"image: expected registry/path:tag or registry/path@sha256:…, got {text[:80]!r}")
    return Image(name, tag if tag or digest else "latest", digest)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Images that are allowed. In each of its parts `*` stands for anything, and never reaches into another part."""

    registry: str
    path: str
    tag: str = ""  # empty: any
    digest: str = ""  # empty: any

    def allows(self, image: Image) -> bool:
        """Tell whether an image is one of these. The tag beside a digest says nothing about what runs."""
        registry, _slash, path = image.name.partition("/")
        if not fnmatchcase(registry, self.registry) or not fnmatchcase(path, self.path):
            return False
        if self.digest:
            return fnmatchcase(image.digest, self.digest)
        return not self.tag or (not image.digest and fnmatchcase(image.tag, self.tag))


def parse_pattern(text: str) -> Pattern:
    """Read a pattern: registry/path in full, with :tag or @digest if it is to be that. Raises ImageRefused."""
    name, at, digest = text.partition("@")
    registry, slash, rest = name.partition("/")
    head, last_slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    path = f"{head}{last_slash}{last}"
    full = "*" in registry or "." in registry or ":" in registry or registry == "localhost"
    if not full or not slash or not path or (colon and not tag) or (at and not digest) or not text.isascii():
        raise ImageRefused(f"expected registry/path in full, such as docker.io/library/nginx, got {text[:80]!r}")
    return Pattern(registry, path, tag, digest)


def permit(image: Image, patterns: Iterable[str]) -> None:
    """Refuse an image that no pattern allows. Raises ImageRefused."""
    if not any(parse_pattern(pattern).allows(image) for pattern in patterns):
        raise ImageRefused(
            f"image: {image} is not among the images allowed here; ask whoever runs Podgate to add it to `allow` in "
            "kubernetes.toml"
        )


def check_content(image: Image) -> None:
    """Refuse an image that can become another. Raises ImageRefused."""
    if not image.digest:
        raise ImageRefused(f"image: {image} can change under its tag; name its content: {image.name}@sha256:…")
