"""From a launch and its template to what the shim is told: user, ports, environment, steps. All but ports is pure."""

import hashlib
import os
import shutil
import signal
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.runtimes import Launch, RuntimeFailure
from controller.runtimes.cache import PATH
from controller.runtimes.environment import check_variables, told
from controller.runtimes.readiness import Check
from controller.runtimes.records import PodDirectory
from controller.templates import Template

# A pod's user has a number and no passwd entry: each home has a block of them, chosen by its path, and each pod of the
# home one, for ever. systemd's list calls what is above 0x70000000 unused (https://systemd.io/UIDS-GIDS/); a user
# namespace mostly has the first 65536 numbers only, and no more than one home in it.
FIRST_USER = 0x70000000
USERS_OF_A_HOME = 1 << 18
HOMES = 1 << 10
FIRST_MAPPED_USER = 20_000
MOST_PROCESSES = 4096  # of a pod with its own user: a JVM's threads count too

LONGEST_SOCKET_PATH = 107  # bytes (unix(7))


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a pod's endpoints are, and what to ask them."""

    ports: Mapping[str, int]  # by variable
    upstreams: Mapping[str, str]  # by endpoint, and by the key of its HTTP side
    checks: tuple[Check, ...]


def user_of(home: Path, number: int) -> int | None:
    """Give the uid (and gid) of a pod's own user; None where we are not root and everything runs as ourselves."""
    if os.geteuid() != 0:
        return None
    if number >= USERS_OF_A_HOME:
        raise RuntimeFailure(f"this home has had {number} pods and has no user left for another; begin a new home")
    block = int.from_bytes(hashlib.sha256(os.fsencode(home)).digest()[:8]) % HOMES
    user = FIRST_USER + block * USERS_OF_A_HOME + number
    mapped = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    fits = any(int(first) <= user < int(first) + int(size) for first, _outside, size in mapped)
    return user if fits else FIRST_MAPPED_USER + number


def check_reachable(home: Path) -> None:
    """Refuse a home that pods' users cannot enter. Raises RuntimeFailure."""
    closed = [way for way in (home, *home.parents) if not way.stat().st_mode & 0o001] if os.geteuid() == 0 else []
    if closed:
        ways = " ".join(map(str, reversed(closed)))
        raise RuntimeFailure(
            f"pods run as users of their own, who cannot enter {ways}; run 'chmod o+x {ways}' or choose "
            "another home (--home or PODGATE_HOME), such as /var/lib/podgate"
        )


def place(template: Template, directory: PodDirectory, taken: Collection[int]) -> Placed:
    """Choose ports that are free now and make the addresses of the endpoints. Raises RuntimeFailure."""
    ports: dict[str, int] = {}
    for variable in template.port_variables:
        ports[variable] = _free_port({*taken, *ports.values()})
    upstreams, checks = {}, []
    for endpoint in template.endpoints:
        where = f"127.0.0.1:{ports[endpoint.port]}" if endpoint.port else _socket(directory.run / endpoint.socket)
        upstreams[endpoint.name] = where
        checks.append(Check(endpoint.protocol, where))
        if endpoint.http:
            upstreams[endpoint.http_key] = f"127.0.0.1:{ports[endpoint.http]}"
    checks += [Check(item.protocol, f"127.0.0.1:{ports[item.port]}", item.path) for item in template.ready]
    return Placed(ports, upstreams, tuple(checks))


def environment(
    pod: Launch, template: Template, directory: PodDirectory, placed: Placed, given: Mapping[str, str]
) -> dict[str, str]:
    """Make a pod's environment: nothing of ours, and nothing of the user's in place of what we say."""
    check_variables(pod.env)
    parameters = template.check_parameters(pod.parameters)
    return {
        "PATH": PATH,
        "HOME": str(directory.data),
        "LANG": "C.UTF-8",
        **template.env,
        **pod.env,
        **given,
        **{variable: str(port) for variable, port in placed.ports.items()},
        **told(pod, template, parameters),
        "POD_LISTEN": "127.0.0.1" if template.port_variables else "",
        "POD_DATA": str(directory.data),
        "POD_RUN": str(directory.run),
        "POD_TEMPLATE": str(directory.template),
    }


def shim_spec(
    pod: Launch, template: Template, directory: PodDirectory, env: Mapping[str, str], user: int | None, lock: int
) -> dict[str, object]:
    """Make the document the shim reads; its header tells the fields."""
    secrets = {f"SECRET_{level.upper()}": secret for level, secret in pod.secrets.items()}
    steps = [{"name": "start", "argv": _run(directory, template.start), "env": env}]
    if template.prepare:
        steps.insert(0, {"name": "prepare", "argv": _run(directory, template.prepare), "env": {**env, **secrets}})
    return {
        "directory": str(directory.path),
        "lock": lock,
        "generation": pod.generation,
        "steps": steps,
        "user": user,
        "cwd": str(directory.data),
        "stop_signal": int(signal.Signals[template.stop_signal]),
        "most_processes": None if user is None else MOST_PROCESSES,
    }


def copy_template(template: Template, target: Path) -> None:
    """Put a template's files where the pod's user can read them: we may be installed where only root may go."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    target.chmod(0o755)
    for path in template.files:
        (target / path.name).write_bytes(path.read_bytes())
        (target / path.name).chmod(0o644)


def _run(directory: PodDirectory, script: str) -> list[str]:
    return ["/bin/sh", str(directory.template / script)]


def _free_port(taken: Collection[int]) -> int:
    """Ask the kernel; somebody may still take it first: then the pod ends, and its next start asks anew."""
    while True:
        with socket.socket() as asking:
            asking.bind(("127.0.0.1", 0))
            port: int = asking.getsockname()[1]
        if port not in taken:
            return port


def _socket(path: Path) -> str:
    excess = len(os.fsencode(path)) - LONGEST_SOCKET_PATH
    if excess > 0:
        raise RuntimeFailure(
            f"the home directory's path is {excess} bytes too long for the pod's socket {path}; choose a shorter home "
            f"(PODGATE_HOME): a socket's path has at most {LONGEST_SOCKET_PATH} bytes"
        )
    return f"unix:{path}"
