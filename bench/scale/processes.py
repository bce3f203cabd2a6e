"""The controller and what stands around it, each a process of its own: the controller has a core for itself."""

import json
import select
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL

from bench import cores
from bench.load import postgres_server
from bench.peers.pgbouncer import PASSWORD, ROLE
from bench.process import Died, Program, running
from bench.scale import population
from bench.scale.marks import Fact, Mark, What
from bench.scale.plan import DOMAIN, SQLITE, Plan
from bench.scale.population import Inhabitant
from certs.authority import Authority
from controller.home import prepare_home
from controller.store.postgres import ADDRESS, DRIVER

CONTROLLER, CLUSTER, GATEWAYS, CHANGES = "controller", "cluster's double", "gateways", "who changes"
DATABASE = "PostgreSQL"  # where it is the store
OTHERS = "others on this machine"
PATIENCE = 120.0  # seconds until something that starts is given up
OURS = (sys.executable, "-P", "-m")
LOOK = 0.02  # seconds between two looks at what the gateways wrote

_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: unused}}}}]
"""
_WORDS = {"ready": What.READY, "away": What.AWAY}


@dataclass
class Told:
    """What gateways and the cluster wrote so far; `look` reads on."""

    facts_file: Path
    marks_file: Path
    facts: list[Fact] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    last: dict[int, dict[str, Fact]] = field(default_factory=dict)  # by gateway and host
    addresses: dict[str, str] = field(default_factory=dict)  # by host: of the Pod that became ready last
    routes: dict[int, tuple[int, int]] = field(default_factory=dict)  # by gateway: how many, how many available
    _read: dict[Path, int] = field(default_factory=dict)

    def look(self) -> None:
        """Read what is new."""
        for line in self._lines(self.facts_file):
            gateway, at, routes, available, news = json.loads(line)
            self.routes[gateway] = routes, available
            facts = [Fact(gateway, at, *each) for each in news]
            self.facts += facts
            self.last.setdefault(gateway, {}).update((fact.host, fact) for fact in facts)
        for line in self._lines(self.marks_file):
            word, at, name, address = json.loads(line)
            mark = Mark(_WORDS[word], at, f"{name}.{DOMAIN}", address)
            self.marks.append(mark)
            if mark.what is What.READY:
                self.addresses[mark.host] = address

    def forget(self) -> None:
        """Begin anew, as to what changed."""
        self.look()
        self.facts.clear()
        self.marks.clear()

    def _lines(self, path: Path) -> list[bytes]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        return whole.splitlines()


@dataclass(frozen=True, slots=True)
class Running:
    """All of it, up and with all routes at every gateway."""

    home: Path
    url: str  # of the cluster
    programs: dict[str, Program]
    told: Told
    pods: Sequence[Inhabitant]
    startup: float  # seconds from the controller's start to the first full table at every gateway


@contextmanager
def started(plan: Plan, size: int, place: Path, tell: Callable[[str], None]) -> Iterator[Running]:
    """Start it all with so many pods while the block runs. Raises Died, TimeoutError and Missing."""
    home, pods = place / "home", population.populate(size, plan.seed)
    prepare_home(home)
    Authority.open(home / "authority")
    population.write(pods, place / "pods.json")
    told = Told(place / "facts", place / "marks")
    for path in (told.facts_file, told.marks_file):
        path.touch()
    with ExitStack() as stack:
        tell(f"{size:,} pods: into the store")
        programs, environment = stack.enter_context(_stored(plan, home, pods))
        tell(f"{size:,} pods: into the cluster")
        programs[CLUSTER] = stack.enter_context(running(_double(plan), place / "cluster.log"))
        url = f"http://127.0.0.1:{_port(programs[CLUSTER])}"
        (home / "kubernetes.toml").write_text("policies_enforced = true\n", encoding="utf-8")
        (home / "kubeconfig").write_text(_KUBECONFIG.format(url=url), encoding="utf-8")
        command = [*OURS, "bench.scale.gateways", "--home", str(home), "--count", str(plan.gateways)]
        programs[GATEWAYS] = stack.enter_context(running([*command, "--facts", "facts"], place / "gateways.log"))
        tell(f"{size:,} pods: the controller starts")
        began = time.monotonic()
        command = [*OURS, "controller", "--home", str(home), "--domain", DOMAIN, "--runtime", "kubernetes",
                   "--kubeconfig", str(home / "kubeconfig")]  # fmt: skip
        controller = running(cores.on_proxy_core(command), place / "controller.log", environment)
        programs[CONTROLLER] = stack.enter_context(controller)
        on = sum(each.on for each in pods)
        _wait(lambda: _is_full(told, size, on, plan.gateways), programs)
        yield Running(home, url, programs, told, pods, time.monotonic() - began)


@contextmanager
def _stored(
    plan: Plan, home: Path, pods: Sequence[Inhabitant]
) -> Iterator[tuple[dict[str, Program], Mapping[str, str]]]:
    """Put the pods into the store; give the server's program, if there is one, and what leads the controller to it."""
    if plan.store == SQLITE:
        population.fill(home / "controller.sqlite", pods)
        yield {}, {}
        return
    with ExitStack() as stack:
        own = tempfile.TemporaryDirectory(prefix="pgs-db", ignore_cleanup_errors=True)  # of another owner
        port, program = stack.enter_context(postgres_server.serving(Path(stack.enter_context(own))))
        url = URL.create(DRIVER, ROLE, PASSWORD, "127.0.0.1", port, "postgres")
        population.fill(url, pods)
        yield {DATABASE: program}, {ADDRESS: url.render_as_string(hide_password=False)}


def _double(plan: Plan) -> list[str]:
    times = ["--starting", str(plan.starting), "--stopping", str(plan.stopping)]
    return [*OURS, "bench.scale.apiserver", "--pods", "pods.json", "--marks", "marks", *times]


def check(programs: dict[str, Program]) -> None:
    """See that none of them ended. Raises Died."""
    for name, program in programs.items():
        try:
            program.check()
        except Died as died:
            raise Died(f"{name} {died}") from None


def _is_full(told: Told, size: int, on: int, gateways: int) -> bool:
    told.look()
    full = sum(routes >= size and available >= on for routes, available in told.routes.values())
    return full == gateways


def _wait(is_there: Callable[[], bool], programs: dict[str, Program]) -> None:
    """Wait for something that only files tell. Raises Died and TimeoutError."""
    until = time.monotonic() + PATIENCE
    while not is_there():
        check(programs)
        if time.monotonic() > until:
            raise TimeoutError(f"not all routes were at every gateway within {PATIENCE:g} s")
        select.select([], [], [], LOOK)


def _port(cluster: Program) -> int:
    """Give the port the double says it listens on."""
    found: list[int] = []

    def said() -> bool:
        words = cluster.log.read_text(encoding="utf-8", errors="replace").split()
        if words[:1] == ["port"]:
            found.append(int(words[1]))
        return bool(found)

    if not cluster.comes_to(said, PATIENCE):
        raise TimeoutError(f"the cluster's double did not begin to listen within {PATIENCE:g} s")
    return found[0]
