"""One life of a replica of the controller: what all replicas do, and what the leader does beside it.

    name ours → store migrated → pods run where we run them → all known → following the others → API answering
                                   └ whenever it leads: runtime watching → pods tended, passwords kept

Replicas on one machine may share a home, as they have to for pods that are processes: each has a lock and sockets of
its own there, and `api.sock`, where commands and gateways look, leads to one of them (`controller.replicas.pointing`).
"""

import gc
from collections.abc import Callable, Mapping
from functools import partial

import trio
from sqlalchemy import URL

from controller.control import Control, Standing
from controller.home import locked, prepare_home
from controller.publish import routes_of
from controller.pulse import Pulse
from controller.reconcile import Reconciler
from controller.replicas.desk import SharedDesk, keep_up
from controller.replicas.feed import SharedFeed
from controller.replicas.gateways import Gateways
from controller.replicas.hearing import first_hearing
from controller.replicas.leadership import Leadership, LedKeeper, LedRuntime
from controller.replicas.place import settle
from controller.replicas.pointing import keep_pointed, point
from controller.rolekeeper import RoleKeeper
from controller.runtimes import Observed, Runtime, Stage
from controller.service import Ended, make_control, open_sockets, serve_all
from controller.settings import Settings
from controller.store.store import News, Store
from controller.templates import Template
from router.snapshot import Version


async def run_replica(
    settings: Settings,
    url: URL,
    make_runtime: Callable[[], Runtime],
    templates: Mapping[str, Template],
    ended: Ended,
) -> None:
    """Run a replica until `ended` returns. Raises HomeProblem, SocketProblem and StoreFailure."""
    prepare_home(settings.home)
    own = settings.replica
    with locked(settings.home, own), await first_hearing(url, own) as session, Store(url) as store:
        place = settle(settings, store)
        changed, desk = Pulse(), SharedDesk(store)
        state = await desk.do(store.state)
        feed = SharedFeed(changed, Version(state.epoch, state.number))
        gateways = Gateways(desk, feed, changed, own)
        leadership = Leadership(url, own, desk.lock, partial(store.lead, replica=own), place)
        runtime = LedRuntime(make_runtime, leadership.confirm)
        control = make_control(
            settings, desk, feed, runtime, templates, changed,
            lambda: Standing("" if desk.trouble else gateways.leader, desk.trouble),
            LedKeeper(RoleKeeper(), leadership.confirm), gateways.pass_on,
        )  # fmt: skip
        desk.known = state.number
        desk.learn, desk.reached = partial(_learn, control), feed.reach
        control.pods.stored = partial(_publish, control)
        await control.pods.load()
        await control.people.load()
        gc.freeze()  # what is known of ten thousand pods would be looked through for garbage again and again
        sockets = open_sockets(settings)
        async with trio.open_nursery() as parts:
            parts.start_soon(keep_up, desk, url, own, session, gateways.listen, lambda: feed.pending)
            parts.start_soon(desk.guard)
            parts.start_soon(gateways.run)
            parts.start_soon(leadership.run, partial(_lead, control, desk, runtime))
            parts.start_soon(
                keep_pointed, settings.home / "run" / "api.sock", settings.socket, lambda: leadership.leads
            )
            await serve_all(control, sockets, ended)
            parts.cancel_scope.cancel()


async def _lead(control: Control, desk: SharedDesk, runtime: LedRuntime) -> None:
    """Do what the leader does, until cancelled. Raises StoreFailure."""
    runtime.renew()
    await desk.catch_up()
    await control.keeping.complete()
    point(control.settings.home / "run" / "api.sock", control.settings.socket)
    reconciler = Reconciler(control.pods, runtime, None, control.templates, control.settings.domain)
    try:
        async with trio.open_nursery() as parts:
            parts.start_soon(runtime.run)
            parts.start_soon(control.people.tend)
            await parts.start(reconciler.run)
            parts.start_soon(control.keeping.run)
    finally:
        control.pods.touched = lambda _key: None
        control.pods.take_back()


def _learn(control: Control, news: News) -> None:
    """Know what other replicas changed."""
    rotating = [
        key for key, pod in news.pods.items()
        if pod is not None and pod.pending and (before := control.pods.get(key)) is not None and not before.pending
    ]  # fmt: skip
    control.pods.learn(news.pods, everything=news.everything)
    if news.directory is not None:
        control.people.learn(news.directory)
        control.gateway_tokens.learn(news.scopes)
    for key in rotating:
        control.keeping.wake(key)


def _publish(control: Control, key: str) -> None:
    """Publish the routes of a pod by what is stored of it: every replica does alike."""
    pod = control.pods.get(key)
    if pod is None:
        control.feed.put(key, ())
        return
    seen = Observed(Stage.READY, pod.generation, 0.0, pod.upstreams)
    control.feed.put(key, routes_of(pod, seen, control.templates.get(pod.template), control.settings.domain))
