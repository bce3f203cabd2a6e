"""Who calls, and whether they may: every call that is about a pod asks here, by the one table in `router.access`.

Who holds no level on a pod is told that there is none of that name, as if there were none. Who holds too little is told
what it takes and whose the pod is. Both are in the audit log.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from controller.api.problems import Problem, no_such_pod
from controller.control import Control
from controller.identity import ADMIN, ApiToken, Caller
from controller.model import Pod
from controller.people import People
from router.access import LEAST, AccessLevel, Action, Principal, may

CALLER = "podgate.caller"  # in the scope of a request: who calls


class Refused(Problem):
    """A caller who is known is not let; `pod` is the key of what it was about."""

    def __init__(self, detail: str, pod: str = "", *, hidden: bool = False) -> None:
        super().__init__(404 if hidden else 403, detail)
        self.pod = pod


def caller_of(request: Request) -> Caller:
    """Give who calls; the gate has found out."""
    caller: Caller = request.scope[CALLER]
    return caller


async def _called(request: Request) -> Caller:
    """Give the same to FastAPI, which would have a thread call a plain function, each time."""
    return caller_of(request)


Called = Annotated[Caller, Depends(_called)]


def service_caller(people: People, address: str) -> Caller:
    """Give who calls with admin.token: the user `admin`, with every right whatever became of that user."""
    admin = people.find(ADMIN)
    principal = Principal(ADMIN, admin.groups if admin else frozenset(), credential="admin.token")
    return Caller(principal, admin=True, makes_pods=True, by_service=True, address=address)


def user_caller(people: People, token: ApiToken, address: str) -> Caller:
    """Give who calls with an API token that is live."""
    person = people.named(token.user)
    principal = people.tokens.principal_of(token)
    return Caller(principal, admin=person.admin, makes_pods=person.may_make_pods, address=address, token=token)


def see(control: Control, caller: Caller, name: str, action: Action, wish: str = "") -> Pod:
    """Give a pod to which the caller may do `action`, see `check`. Raises UnknownPod and Refused."""
    pod = control.pods.named(name)
    check(caller, pod, action, wish)
    return pod


def check(caller: Caller, pod: Pod, action: Action, wish: str = "") -> None:
    """See that the caller may do `action` to a pod; `wish`: what a refusal calls it. Raises Refused."""
    held = caller.level_on(pod.key, pod.levels)
    if held is None:
        raise Refused(no_such_pod(pod.name), pod.key, hidden=True)
    if not may(action, held):
        raise too_low(caller, pod, LEAST[action], wish or f"{action} it", held)


def too_low(caller: Caller, pod: Pod, needed: AccessLevel, wish: str, held: AccessLevel | None) -> Refused:
    """Say what it takes and whom to ask."""
    cure = f"ask its owner, {pod.owner}"
    if not caller.whole:
        unlimited = "use a token that is not limited"
        cure = unlimited if caller.name == pod.owner else f"{cure}, or {unlimited}"
    return Refused(
        f"pod {pod.name!r}: to {wish} takes level {needed}, and yours here is {held or 'none'}; {cure}", pod.key
    )


def need_admin(caller: Caller) -> None:
    """See that the caller may administer. Raises Refused."""
    need_whole(caller)
    if not caller.admin:
        raise Refused("this takes an administrator; ask one")


def need_maker(caller: Caller) -> None:
    """See that the caller may make pods. Raises Refused."""
    need_whole(caller)
    if not caller.makes_pods:
        raise no_maker(caller.name)


def no_maker(name: str) -> Refused:
    """Say that a user may not make pods, and what to ask an administrator for."""
    return Refused(
        f"user {name!r} may not make pods, which run programs on the machine of this Podgate; "
        f"ask an administrator for: podgate user allow {name} --make-pods"
    )


def need_whole(caller: Caller) -> None:
    """See that the caller's token is limited to no pod and no level. Raises Refused."""
    if not caller.whole:
        raise Refused("this takes a token for all of the account, and yours is limited to a pod or a level")


def visible(control: Control, caller: Caller, name: str) -> Pod | None:
    """Find a pod that the caller may see."""
    pod = control.pods.find(name)
    return pod if pod and may(Action.SEE, caller.level_on(pod.key, pod.levels)) else None


def while_allowed(control: Control, caller: Caller, pod: Pod, action: Action) -> Callable[[], Awaitable[None]]:
    """Give what waits until the caller may not do `action` any more: its token is revoked, its grant gone."""

    async def wait() -> None:
        while _still(control, caller, pod.key, action):
            await control.changed.wait()

    return wait


def _still(control: Control, caller: Caller, key: str, action: Action) -> bool:
    if caller.token is not None:
        token = control.people.tokens.current(caller.token.id)
        if token is None:
            return False
        caller = user_caller(control.people, token, caller.address)
    pod = control.pods.get(key)
    return pod is not None and may(action, caller.level_on(key, pod.levels))
