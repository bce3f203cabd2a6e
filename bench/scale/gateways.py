"""Gateways that follow a controller and acknowledge, and do nothing else: a process of its own with all of them.

    python -m bench.scale.gateways --home DIR --count N --facts FILE

What they run of a real one: the feed's client, the judgement of each document, the table, and acknowledging as its
supervisor does, one at a time and always the newest. What they do not: workers, which would be told of each document
and swap a table of their own, and connections.

The file gets a line for each acknowledgement: which gateway, when it was answered, how many routes there are and how
many of them are available, and how each route was each time that it came or changed since the line before.
"""

import argparse
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import httpx
import trio

from gateway.following import Controller, ControllerFeed, Who
from router.model import Route, RouteState
from router.snapshot import Routes, Version, advance

AGAIN = 0.1  # seconds after a controller that was not there
Told = list[str]  # a route's host, state, address and level


class Replica:
    """One gateway."""

    def __init__(self, number: int, home: Path, facts: TextIO) -> None:
        self._number = number
        controller = Controller("http://podgate", home / "gateway.token", home / "run" / "api.sock")
        self._feed = ControllerFeed(controller, Who(f"gw-{number}", 1, number))
        self._facts = facts
        self._routes = Routes()
        self._news: list[Told] = []
        self._available = 0
        self._later = trio.Event()

    async def run(self) -> None:
        """Follow until cancelled, over and over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._acknowledge)
            while True:
                send, receive = trio.open_memory_channel[object](0)
                try:
                    async with trio.open_nursery() as following:
                        following.start_soon(self._follow, send)
                        async for document in receive:
                            self._take(document)
                except* (OSError, httpx.HTTPError, ValueError):
                    pass  # it is not there yet, or was lost
                await trio.sleep(AGAIN)

    async def _follow(self, send: trio.MemorySendChannel[object]) -> None:
        async with send:
            await self._feed.follow(send)

    def _take(self, document: object) -> None:
        """Judge a document, and note what it brought."""
        before, self._routes = self._routes, advance(self._routes, document)
        assert isinstance(document, dict)
        if document["kind"] == "snapshot":
            self._note_all(before)
        else:
            self._note(before, [route["host"] for route in document["put"]])
            self._note(before, document["remove"])
        self._later.set()

    def _note_all(self, before: Routes) -> None:
        """Note what a snapshot brought, which may be everything; of the first only that it came."""
        if len(before.table):
            hosts = {route.host for table in (before.table, self._routes.table) for route in table}
            self._note(before, [host for host in hosts if _told(before, host) != _told(self._routes, host)])
        self._available = sum(_is_available(route) for route in self._routes.table)

    def _note(self, before: Routes, hosts: Iterable[str]) -> None:
        for host in hosts:
            self._news.append([host, *_told(self._routes, host)])
            self._available += _is_available(self._routes.table.find(host)) - _is_available(before.table.find(host))

    async def _acknowledge(self) -> None:
        done = Version("", 0)
        while True:
            later = self._later = trio.Event()
            version = self._routes.version
            if version == done:
                await later.wait()
                continue
            news, self._news = self._news, []
            try:
                await self._feed.acknowledge(version, ())
            except (OSError, httpx.HTTPError):
                self._news = news + self._news
                await trio.sleep(AGAIN)
                continue
            done = version
            line = [self._number, time.monotonic(), len(self._routes.table), self._available, news]
            self._facts.write(json.dumps(line) + "\n")


def _told(routes: Routes, host: str) -> Told:
    route = routes.table.find(host)
    if route is None:
        return ["removed", "", ""]
    address = str(route.upstreams[0]) if route.upstreams else ""
    return [str(route.state), address, str(route.access)]


def _is_available(route: Route | None) -> bool:
    return route is not None and route.state is RouteState.AVAILABLE


async def follow(home: Path, count: int, path: Path) -> None:
    """Run them until killed."""
    with path.open("a", encoding="utf-8", buffering=1) as facts:
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(Replica(number, home, facts).run)


def main() -> None:
    """Take the arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale.gateways")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--facts", type=Path, required=True)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        trio.run(follow, options.home, options.count, options.facts)


if __name__ == "__main__":
    main()
