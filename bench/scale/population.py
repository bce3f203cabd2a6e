"""The pods there are before anything is measured, as the controller's store and the cluster both have them."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import URL

from controller.model import Event as PodEvent
from controller.model import Phase, Pod, Status, Want
from controller.store.store import Store
from router.access import AccessLevel

TEMPLATE = "web"  # one endpoint, one route; nobody logs in to it to keep its passwords
TOGETHER = 200  # pods in one transaction
STOPPED_SHARE = 10  # one of so many is stopped
SINCE = 1_760_000_000.0  # when all of this began: a whole second, as the cluster writes times
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """One of these pods."""

    name: str
    key: str
    on: bool


def populate(count: int, seed: int) -> list[Inhabitant]:
    """Make up so many pods; equal arguments give equal pods."""
    chance = random.Random(seed)
    letters = ("".join(chance.choices(_LETTERS, k=8)) for _ in range(count))
    named = ((f"p{number:05}", tail) for number, tail in enumerate(letters, 1))
    return [
        Inhabitant(name, f"{name}-{tail}", number % STOPPED_SHARE != 0) for number, (name, tail) in enumerate(named, 1)
    ]


def fill(store: Path | URL, pods: Sequence[Inhabitant]) -> None:
    """Write them into a controller's store, by its own means. Raises StoreFailure and whatever else goes wrong."""
    with Store(store) as kept:
        created = [partial(kept.create, pod_of(each), PodEvent(SINCE, "created", "")) for each in pods]
        for begin in range(0, len(created), TOGETHER):
            for answer in kept.together(created[begin : begin + TOGETHER]):
                if isinstance(answer, Exception):
                    raise answer


def pod_of(each: Inhabitant) -> Pod:
    """Give a pod as a controller knows it that has nothing to do with it."""
    phase, want = (Phase.AVAILABLE, Want.ON) if each.on else (Phase.STOPPED, Want.OFF)
    return Pod(
        number=0, key=each.key, name=each.name, template=TEMPLATE, access=AccessLevel.OWNER, created_at=SINCE,
        want=want, status=Status(phase=phase, since=SINCE),
    )  # fmt: skip


def write(pods: Sequence[Inhabitant], path: Path) -> None:
    """Write them down for the cluster's double."""
    path.write_text(json.dumps([asdict(each) for each in pods]), encoding="utf-8")


def read(path: Path) -> list[Inhabitant]:
    """Read what `write` wrote."""
    return [Inhabitant(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
