"""Changes at a rate, as people and programs make them: by the controller's API, and by hand in the cluster.

They come at their times whether or not those before are done, as far as `MOST_UNDER_WAY`; those that could not be
made in the time there is are dropped, and counted. A pod that was changed is not changed again before all others were,
so that no change hides another.
"""

import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import trio

from bench.scale.apiserver import BY_HAND
from bench.scale.marks import AVAILABLE, REMOVED, STOPPED, Mark, What, Wish
from bench.scale.plan import DOMAIN, MIX, NAMESPACE, Kind
from bench.scale.population import TEMPLATE, Inhabitant
from controller.runtimes.kubernetes.manifests import pod_name
from controller.runtimes.kubernetes.order import object_name

MOST_UNDER_WAY = 500  # changes that are not answered yet; further ones wait, and count as late
LONGEST_ANSWER = 30.0  # seconds
LATEST = 1.0  # seconds after their time that changes are made: what answers no faster is not to be waited for
LEVELS = ("read", "write")  # in turn: no other change makes a route have them


@dataclass
class Done:
    """What became of the changes."""

    made: dict[Kind, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    dropped: int = 0  # were not made at all, so late was it
    late: float = 0.0  # seconds, of the one that was made latest after its time
    answers: list[float] = field(default_factory=list)  # seconds an API call took
    marks: list[Mark] = field(default_factory=list)


class Changes:
    """The pods as they should be, and how to change them."""

    def __init__(self, pods: Sequence[Inhabitant], home: Path, cluster: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._on = deque((each.name, each.key) for each in pods if each.on)
        self._off = deque((each.name, each.key) for each in pods if not each.on)
        self._chance.shuffle(self._on)
        self._chance.shuffle(self._off)
        self.wishes: dict[str, Wish] = {}  # by host: what became of those that were changed
        self._born = 0
        token = (home / "admin.token").read_text(encoding="ascii").strip()
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of a socket file: no TLS is spoken
        limits = httpx.Limits(max_connections=MOST_UNDER_WAY, max_keepalive_connections=MOST_UNDER_WAY)
        transport = httpx.AsyncHTTPTransport(uds=str(home / "run" / "api.sock"), verify=unused, limits=limits)
        headers = {"Authorization": f"Bearer {token}"}
        self._api = httpx.AsyncClient(
            transport=transport, base_url="http://podgate", headers=headers, timeout=LONGEST_ANSWER
        )
        self._cluster = httpx.AsyncClient(base_url=cluster, timeout=LONGEST_ANSWER, trust_env=False, verify=unused)

    async def aclose(self) -> None:
        """End all connections."""
        await self._api.aclose()
        await self._cluster.aclose()

    async def make(self, rate: float, seconds: float, tell: Callable[[int], None] = lambda _made: None) -> Done:
        """Make so many changes a second for so long; return when the last one is answered."""
        done, limit = Done(), trio.CapacityLimiter(MOST_UNDER_WAY)
        kinds = self._kinds(round(rate * seconds))
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, kind in enumerate(kinds):
                due = begin + number / rate
                await trio.sleep_until(due)
                await limit.acquire_on_behalf_of(number)
                if trio.current_time() > begin + seconds + LATEST:
                    limit.release_on_behalf_of(number)
                    done.dropped = len(kinds) - number
                    break
                done.late = max(done.late, trio.current_time() - due)
                nursery.start_soon(self._make, kind, done, limit, number)
                tell(number)
        return done

    def _kinds(self, count: int) -> list[Kind]:
        """Give as many as asked for, in the shares of the mix, shuffled."""
        hundred = [kind for kind, share in MIX.items() for _ in range(share)]
        kinds: list[Kind] = []
        while len(kinds) < count:
            kinds += self._chance.sample(hundred, len(hundred))
        return kinds[:count]

    async def _make(self, kind: Kind, done: Done, limit: trio.CapacityLimiter, number: int) -> None:
        try:
            name = await self._change(kind, done)
            done.made[kind] = done.made.get(kind, 0) + 1
            if not name:
                done.failed.append(f"{kind}: there was no pod for it")
        except (httpx.HTTPError, OSError) as error:
            done.failed.append(f"{kind}: {str(error) or type(error).__name__}")
        finally:
            limit.release_on_behalf_of(number)

    async def _change(self, kind: Kind, done: Done) -> str:
        """Make one change; give the name of its pod, none where there is no pod for it."""
        if kind is Kind.CREATE:
            self._born += 1
            name = f"new{self._born:05}"
            done.marks.append(_mark(What.STARTED, name))
            answer = await self._call(done, "POST", "", json={"name": name, "template": TEMPLATE})
            self._on.append((name, str(answer.json()["key"])))
            self.wishes[_host(name)] = Wish(AVAILABLE)
            return name
        source = self._off if kind is Kind.START else self._on
        if not source:
            return ""
        name, key = source.popleft()
        before = self.wishes.pop(_host(name), Wish(AVAILABLE))  # should this fail, nobody knows what became of it
        if kind is Kind.DELETE:
            done.marks.append(_mark(What.STOPPED, name))
            await self._call(done, "DELETE", f"/{name}")
            self.wishes[_host(name)] = Wish(REMOVED)
            return name
        wish = await self._change_wish(kind, done, name, key, before.access)
        self.wishes[_host(name)] = wish
        (self._off if wish.state == STOPPED else self._on).append((name, key))
        return name

    async def _change_wish(self, kind: Kind, done: Done, name: str, key: str, access: str) -> Wish:
        """Change a pod that stays; give what its route is to be then."""
        if kind is Kind.START:
            done.marks.append(_mark(What.STARTED, name))
            await self._call(done, "POST", f"/{name}/start")
        elif kind is Kind.STOP:
            done.marks.append(_mark(What.STOPPED, name))
            await self._call(done, "POST", f"/{name}/stop")
            return Wish(STOPPED, access)
        elif kind is Kind.ACCESS:
            access = LEVELS[access == LEVELS[0]]
            done.marks.append(_mark(What.ACCESS, name, access))
            await self._call(done, "PATCH", f"/{name}/endpoints/default", json={"access": access})
        else:
            await self._delete_by_hand(kind, key)
        return Wish(AVAILABLE, access)

    async def _delete_by_hand(self, kind: Kind, key: str) -> None:
        name = object_name(key)
        core, apps = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/apps/v1/namespaces/{NAMESPACE}"
        path = f"{core}/pods/{pod_name(name)}" if kind is Kind.POD_BY_HAND else f"{apps}/statefulsets/{name}"
        response = await self._cluster.delete(path, params={"fieldManager": BY_HAND})
        if response.status_code != 404:  # it is being started anew: what is gone needs no hand
            response.raise_for_status()

    async def _call(self, done: Done, method: str, path: str, json: dict[str, str] | None = None) -> httpx.Response:
        began = trio.current_time()
        response = await self._api.request(method, f"/v1/pods{path}", json=json)
        response.raise_for_status()
        done.answers.append(trio.current_time() - began)
        return response


def _mark(what: What, name: str, value: str = "") -> Mark:
    return Mark(what, time.monotonic(), _host(name), value)


def _host(name: str) -> str:
    return f"{name}.{DOMAIN}"
