"""The machine: what `podgate serve` needs of it. Nothing is changed, and nothing stays open."""

import ctypes
import errno
import fcntl
import os
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from certs.authority import Authority
from certs.files import CertificateProblem, load_pair
from controller.runtimes import RuntimeFailure
from controller.runtimes.software import find
from controller.templates import load_templates
from gateway.listening import SPARE, parse_listen
from podgate.checkup.findings import Finding, looked, ok, unsure, wrong

LEAST_DISK, ENOUGH_DISK = 100 * 2**20, 2 * 2**30  # bytes free: below the first nothing works for long
FEW_FILES = 4096  # open files: of two a link, enough for a small group
SOON = timedelta(days=14)  # a certificate that ends within that needs somebody
LONGEST_SOCKET = 107  # bytes of a unix socket's path (unix(7))
BUILT = datetime(2026, 11, 1, tzinfo=UTC)  # no true clock shows an earlier time
TIME_ERROR = 5  # of ntp_adjtime(3): the clock is not kept by anything
_TIMEX = 512  # bytes, more than any `struct timex` has


@dataclass(frozen=True, slots=True)
class Machine:
    """What `podgate serve` is to be told."""

    home: Path
    listen: str  # HOST:PORT
    certificate: Path | None = None
    key: Path | None = None
    runs_pods: bool = True  # as processes of this machine


def look(machine: Machine) -> Iterator[Finding]:
    """Look at everything."""
    looks = [_home, _disk, _port, _certificates]
    yield from looked([partial(each, machine) for each in looks])
    yield from looked([_open_files, _clock])
    if machine.runs_pods:
        yield from looked([_user, _software])


def _home(machine: Machine) -> Iterator[Finding]:
    home = machine.home
    longest = home / "run" / "console.sock"
    if len(os.fsencode(longest)) > LONGEST_SOCKET:
        cure = f"choose a shorter one by --home: a socket's path in it may have {LONGEST_SOCKET} bytes"
        yield wrong("home", f"{home} is too long", cure)
        return
    place = _existing(home)
    if not place.is_dir():
        yield wrong("home", f"{place} is not a directory", "choose another by --home")
    elif not os.access(place, os.W_OK | os.X_OK):
        yield wrong("home", f"{place} cannot be written to by this user", "mend its owner, or choose another by --home")
    elif place != home:
        yield ok("home", f"{home} will be made in {place}")
    else:
        yield ok("home", f"{home}{', where Podgate runs now' if _runs(home) else ''}")


def _disk(machine: Machine) -> Iterator[Finding]:
    place = _existing(machine.home)
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB are free at {place}"
    if free < LEAST_DISK:
        yield wrong("disk", found, "make room, or choose a home on another disk by --home")
    elif free < ENOUGH_DISK:
        yield unsure("disk", found, f"pods keep their data there; {ENOUGH_DISK / 2**30:.0f} GiB are soon used")
    else:
        yield ok("disk", found)


def _port(machine: Machine) -> Iterator[Finding]:
    try:
        host, port = parse_listen(machine.listen)
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind((host, port))
    except ValueError as error:
        yield wrong("port", str(error), "give --listen HOST:PORT")
    except PermissionError:
        cure = "run as root, let systemd or `setcap cap_net_bind_service` allow it, or choose one from 1024 on"
        yield wrong("port", f"{machine.listen} is for the privileged alone", cure)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _runs(machine.home):
            yield ok("port", f"{machine.listen} is in use, as it is to be: Podgate runs")
        elif error.errno == errno.EADDRINUSE:
            yield wrong(
                "port", f"{machine.listen} is used by another program", "stop that, or choose another by --listen"
            )
        else:
            yield wrong("port", f"{machine.listen}: {error.strerror}", "use an address of this machine in --listen")
    else:
        yield ok("port", f"{machine.listen} is free")


def _certificates(machine: Machine) -> Iterator[Finding]:
    if machine.certificate is not None or machine.key is not None:
        yield _pair(machine.certificate, machine.key)
    directory = machine.home / "authority"
    if not (directory / "ca.pem").exists():
        yield ok("authority", "it is made when Podgate first starts")
        return
    try:
        yield _dated("authority", directory / "ca.pem", Authority.open(directory).not_after, "")
    except CertificateProblem as problem:
        found, _semicolon, cure = str(problem).partition("; ")
        yield wrong("authority", found, cure)


def _pair(certificate: Path | None, key: Path | None) -> Finding:
    if certificate is None or key is None:
        return wrong("certificate", "--certificate and --key belong together", "give both, or neither")
    try:
        leaf = load_pair(certificate, key)
    except CertificateProblem as problem:
        found, _semicolon, cure = str(problem).partition("; ")
        return wrong("certificate", found, cure or "see that it is the right file")
    return _dated("certificate", certificate, leaf.not_after, f", for {', '.join(leaf.hosts[:5])}")


def _dated(what: str, path: Path, end: datetime, more: str) -> Finding:
    left, until = end - datetime.now(UTC), f"{path} is good until {end:%Y-%m-%d}{more}"
    if left <= timedelta(0):
        return wrong(what, f"{path} expired at {end:%Y-%m-%d %H:%M} UTC", "renew it")
    return unsure(what, until, f"renew it: {left.days} days are left") if left < SOON else ok(what, until)


def _open_files() -> Iterator[Finding]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    links = max(most - SPARE, 0) // 2
    found = f"each worker may open {most}: {links} connections"
    if links < 1:
        yield wrong("open files", found, "raise the limit: ulimit -Hn 20000, or LimitNOFILE= of systemd")
    elif most < FEW_FILES:
        yield unsure("open files", found, "for more raise the limit: ulimit -Hn 20000, or LimitNOFILE= of systemd")
    else:
        yield ok("open files", found)


def _clock() -> Iterator[Finding]:
    now = datetime.fromtimestamp(time.time(), UTC)
    if now < BUILT:
        yield wrong("clock", f"it shows {now:%Y-%m-%d %H:%M} UTC", "set it: certificates and sign-ins go by it")
    elif _is_kept() is False:
        cure = "let systemd-timesyncd, chrony or ntpd keep it: certificates, tokens and sign-ins go by it"
        yield unsure("clock", "nothing keeps it right, as far as the kernel knows", cure)
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _is_kept() -> bool | None:
    """Ask the kernel whether the clock is kept by others (ntp_adjtime(3)); None if it does not say."""
    try:
        status = ctypes.CDLL(None, use_errno=True).ntp_adjtime(ctypes.create_string_buffer(_TIMEX))
    except (OSError, AttributeError):
        return None
    return None if status < 0 else status != TIME_ERROR


def _user() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield ok("user", "root: each pod runs as a user of its own")
    else:
        cure = "run as root if others than you may make pods: each then runs as a user of its own"
        yield unsure("user", "an ordinary one: all pods run as it", cure)


def _software() -> Iterator[Finding]:
    """Look for what the templates run; which of them are used is not known here, so none of it is demanded."""
    wanted: dict[str, list[str]] = {}
    for template in load_templates().values():
        for need in template.software:
            wanted.setdefault(need.name, []).append(template.name)
    for name, templates in sorted(wanted.items()):
        try:
            found = find(name)
        except RuntimeFailure as failure:
            lost, _semicolon, cure = str(failure).partition("; ")
            yield unsure(name, lost, f"for pods of {', '.join(templates)}: {cure}")
        else:
            yield ok(name, f"{found.version} at {found.base}, for pods of {', '.join(templates)}")


def _existing(path: Path) -> Path:
    """Give what there is of a path."""
    return next(each for each in (path, *path.parents) if each.exists())


def _runs(home: Path) -> bool:
    """Tell whether a controller or `podgate serve` holds the home."""
    for name in ("controller.lock", "serve.lock"):
        try:
            with (home / name).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            continue
    return False
