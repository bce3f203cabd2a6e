"""One life of a controller: what starts in which order, and how it ends.

    home locked → store migrated → tokens there → people known → runtime watching → pods tended → API answering

Pods go on running when it ends, however it ends; the next life finds them by the store and by looking. A controller
that shares its store with replicas of it lives otherwise (`controller.replicas.service`).
"""

import gc
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import trio

from controller.api.app import create_app
from controller.api.server import listen, most_strangers, serve
from controller.console.app import create_console
from controller.control import Control, PassOn, Standing, nobody_else
from controller.desk import Desk
from controller.feed import Feed
from controller.gatewaytokens import GatewayTokens
from controller.home import ensure_tokens, locked, prepare_home
from controller.keeping import Keeper, Keeping
from controller.people import People
from controller.pods import Pods
from controller.publish import API_NAME, CONSOLE_NAME, api_route, console_route
from controller.pulse import Pulse
from controller.reconcile import Reconciler
from controller.runtimes import Runtime
from controller.settings import VERSION, Settings
from controller.store.store import Store
from controller.templates import Template

log = logging.getLogger("controller")

Sockets = tuple[trio.SocketListener, trio.SocketListener]
Ended = Callable[[Callable[[], object]], Awaitable[object]]  # waits for an end; calls what it is given once it does


async def run_controller(
    settings: Settings,
    make_runtime: Callable[[], Runtime],
    templates: Mapping[str, Template],
    ended: Ended,
) -> None:
    """Run a controller until `ended` returns. Raises HomeProblem, SocketProblem and StoreFailure."""
    prepare_home(settings.home)
    with locked(settings.home), Store(settings.store) as store:
        changed = Pulse()
        control = make_control(settings, Desk(store), Feed(changed), make_runtime(), templates, changed)
        await control.pods.load()
        await control.people.load()
        await control.keeping.complete()
        await _run(control, ended)


def make_control(
    settings: Settings, desk: Desk, feed: Feed, runtime: Runtime, templates: Mapping[str, Template], changed: Pulse,
    standing: Callable[[], Standing] = Standing, keeper: Keeper | None = None, pass_on: PassOn = nobody_else,
) -> Control:  # fmt: skip
    """Put the parts of a controller together; nothing is known yet. Raises HomeProblem and StoreFailure."""
    pods, scopes = Pods(desk, changed), ensure_tokens(settings.home, desk.store)
    people = People(desk, pods, feed, settings)
    return Control(
        settings=settings,
        pods=pods,
        people=people,
        feed=feed,
        keeping=Keeping(pods, feed, runtime, templates, changed, keeper),
        runtime=runtime,
        templates=templates,
        changed=changed,
        scopes=scopes,
        gateway_tokens=GatewayTokens(desk, people.audit, scopes, changed),
        started_at=time.time(),
        standing=standing,
        pass_on=pass_on,
    )


async def _run(control: Control, ended: Ended) -> None:
    sockets = open_sockets(control.settings)
    reconciler = Reconciler(control.pods, control.runtime, control.feed, control.templates, control.settings.domain)
    async with trio.open_nursery() as parts:
        parts.start_soon(control.runtime.run)
        parts.start_soon(control.people.tend)
        await parts.start(reconciler.run)
        gc.freeze()  # what is known of ten thousand pods would be looked through for garbage again and again
        parts.start_soon(control.keeping.run)
        await serve_all(control, sockets, ended)
        parts.cancel_scope.cancel()


def open_sockets(settings: Settings) -> Sockets:
    """Listen for our own, and for strangers. Raises SocketProblem."""
    return listen(settings.socket), listen(settings.public_socket)


async def serve_all(control: Control, sockets: Sockets, ended: Ended) -> None:
    """Answer the API and the console, and publish how they are reached, until `ended` returns."""
    settings = control.settings
    control.feed.put(API_NAME, (api_route(str(settings.public_socket), settings.domain),))
    listener, public = sockets
    async with trio.open_nursery() as serving:
        serving.start_soon(serve, create_app(control), listener, control.ending)
        serving.start_soon(serve, create_app(control, public=True), public, control.ending, most_strangers())
        _open_console(control, serving)
        await ended(lambda: log.info("controller %s: serving %s for %s", VERSION, settings.socket, settings.domain))
        log.info("controller: ending; pods go on running")
        control.end()
    for socket in (settings.socket, settings.public_socket, settings.console_socket):
        socket.unlink(missing_ok=True)


def _open_console(control: Control, serving: trio.Nursery) -> None:
    """Serve and publish the console, if there is a name for it."""
    settings = control.settings
    if not settings.console_host:
        log.warning("console: %s leaves no name for it; choose one with --console-host", settings.domain)
        return
    listener = listen(settings.console_socket)
    console = create_console(control)
    serving.start_soon(console.tend)
    serving.start_soon(serve, console, listener, control.ending, most_strangers())
    control.feed.put(CONSOLE_NAME, (console_route(str(settings.console_socket), settings.console_host),))
    log.info("console: %s", settings.console_url)
