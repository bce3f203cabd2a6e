"""/v1/pods: create, list, show, start, stop, restart, delete, wait, logs, events."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated

import trio
from fastapi import APIRouter, Query, Request, Response

from controller.api.access import Called, check, need_maker, no_maker, see, visible, while_allowed
from controller.api.documents import timestamp
from controller.api.endpoints import InvalidEndpoint, endpoint_settings
from controller.api.poddocuments import (
    EndpointChange,
    EventDocument,
    EventList,
    NewPod,
    PodDocument,
    PodList,
)
from controller.api.podview import pod_document, pod_summary
from controller.api.problems import Problem, shown
from controller.api.streaming import Stream, end_with_reader
from controller.api.waiting import Gone, Until, not_yet, outcome
from controller.control import Control
from controller.identity import Caller
from controller.keeping import RotationFailed
from controller.model import EndpointSettings, Pod, Want, deleted, restarted, started, stopped
from controller.names import new_key, new_secret
from controller.runtimes import RuntimeFailure
from controller.templates import InvalidParameter, Template
from router.access import AccessLevel, Action

LONGEST_WAIT = 3600.0  # seconds
MOST_LOG_LINES = 10_000


class TextStream(Response):
    """For the API's description: the logs are plain text."""

    media_type = "text/plain"


def pods_router(control: Control) -> APIRouter:
    """Make the routes under /v1/pods."""
    router = APIRouter(prefix="/v1/pods", tags=["pods"])
    _collection(router, control)
    _changes(router, control)
    _rotation(router, control)
    _reports(router, control)
    return router


def _collection(router: APIRouter, control: Control) -> None:
    @router.post("", status_code=201, response_model_exclude_none=True)
    async def create_pod(new: NewPod, caller: Called) -> PodDocument:
        """Create a pod, the caller's own; it starts at once. For those who may make pods."""
        need_maker(caller)
        pod = _new_pod(control, new, caller)

        def check_owner() -> None:
            person = control.people.find(caller.name)
            if caller.by_service:
                return
            if person is None or person.disabled:
                raise Problem(401, f"user {caller.name!r} was deleted or disabled meanwhile")
            if not person.may_make_pods:
                raise no_maker(caller.name)

        entry = control.people.audit.entry(caller.by, "create pod", pod=pod.key, detail=pod.template)
        return pod_document(control, await control.pods.create(pod, [entry], check_owner), caller)

    @router.get("", response_model_exclude_none=True)
    async def list_pods(caller: Called) -> PodList:
        """List the pods the caller may see, oldest first."""
        seen = [pod for pod in control.pods if visible(control, caller, pod.name)]
        return PodList(pods=[pod_summary(control, pod) for pod in seen])

    @router.get("/{name}", response_model_exclude_none=True)
    async def show_pod(name: str, caller: Called) -> PodDocument:
        """Show a pod; to its owner with its credentials and URIs."""
        return pod_document(control, see(control, caller, name, Action.SEE), caller)


def _changes(router: APIRouter, control: Control) -> None:
    async def change(
        name: str, changed: Callable[[Pod], Pod], kind: str, caller: Caller, action: Action
    ) -> PodDocument:
        wish = f"{kind} it"  # restarting asks for the level that starting does
        pod = see(control, caller, name, action, wish)
        entry = control.people.audit.entry(caller.by, f"{kind} pod", pod=pod.key)

        def checked(pod: Pod) -> Pod:
            check(caller, pod, action, wish)  # as it is now that nothing else can change it
            if pod.want is Want.DELETED and changed is not deleted:
                raise Problem(409, f"pod {name!r} is being deleted; create another when it is gone")
            return changed(pod)

        return pod_document(control, await control.pods.change(name, checked, kind, [entry]), caller)

    @router.post("/{name}/start", status_code=202, response_model_exclude_none=True)
    async def start_pod(name: str, caller: Called) -> PodDocument:
        """Start a pod; one that failed is tried again at once, one that runs goes on."""
        return await change(name, started, "start", caller, Action.START)

    @router.post("/{name}/stop", status_code=202, response_model_exclude_none=True)
    async def stop_pod(name: str, caller: Called) -> PodDocument:
        """Stop a pod and keep its data."""
        return await change(name, stopped, "stop", caller, Action.STOP)

    @router.post("/{name}/restart", status_code=202, response_model_exclude_none=True)
    async def restart_pod(name: str, caller: Called) -> PodDocument:
        """Stop a pod and start it anew."""
        return await change(name, restarted, "restart", caller, Action.START)

    @router.delete("/{name}", status_code=202, response_model_exclude_none=True)
    async def delete_pod(name: str, caller: Called) -> PodDocument:
        """Delete a pod and its data; its name is free when it is gone."""
        return await change(name, deleted, "delete", caller, Action.DELETE)


def _rotation(router: APIRouter, control: Control) -> None:
    @router.post("/{name}/rotate", response_model_exclude_none=True)
    async def rotate_pod(name: str, caller: Called) -> PodDocument:
        """Give a database's users new passwords while it runs; who is connected stays, and no new login fails."""
        wish = "change its passwords"
        pod = see(control, caller, name, Action.CREDENTIALS, wish)
        entry = control.people.audit.entry(caller.by, "rotate pod", pod=pod.key)
        try:
            rotated = await control.keeping.rotate(
                pod.key, lambda now: check(caller, now, Action.CREDENTIALS, wish), [entry]
            )
        except RotationFailed as failure:
            detail = f"the passwords of pod {name!r} are not new yet: {failure}; it goes on by itself"
            raise Problem(504, detail) from None
        return pod_document(control, rotated, caller)


def _reports(router: APIRouter, control: Control) -> None:
    @router.get(
        "/{name}/wait",
        response_model=PodDocument,
        response_model_exclude_none=True,
        responses={204: {"description": "the pod is gone"}},
    )
    async def wait_for_pod(
        request: Request,
        name: str,
        caller: Called,
        until: Until = Until.ROUTED,
        within: Annotated[float, Query(alias="timeout", ge=0, le=LONGEST_WAIT)] = 60.0,
    ) -> PodDocument | Response:
        """Wait until a pod is routed, stopped or gone."""
        answer: Pod | Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + within
            nursery.start_soon(end_with_reader, request.receive, nursery.cancel_scope)
            answer = await outcome(control, caller, name, until)
            nursery.cancel_scope.cancel()
        if answer is None:
            raise Problem(504, not_yet(visible(control, caller, name), name, until))
        if isinstance(answer, Gone):
            return Response(status_code=204)
        if isinstance(answer, Exception):
            raise answer
        return pod_document(control, answer, caller)

    @router.get("/{name}/logs", response_class=TextStream)
    async def follow_logs(
        name: str, caller: Called, tail: Annotated[int, Query(ge=0, le=MOST_LOG_LINES)] = 100, follow: bool = False
    ) -> Stream:
        """Give the last lines a pod wrote, and, if told to follow, what it writes from now on."""
        pod = see(control, caller, name, Action.LOGS)
        lines = _lines(control.runtime.logs(pod.key, tail, follow))
        over = while_allowed(control, caller, pod, Action.LOGS)
        return Stream(lines, "text/plain; charset=utf-8", control.ending, over)

    @router.get("/{name}/events")
    async def list_events(name: str, caller: Called) -> EventList:
        """List what happened to a pod, newest last."""
        found = await control.pods.events(see(control, caller, name, Action.LOGS, "read its events"))
        return EventList(
            events=[EventDocument(at=timestamp(each.at), kind=each.kind, message=each.message) for each in found]
        )


_MEANT = {  # what people call a template's software, and what stands in for it
    "neo4j": "graph", "cypher": "graph", "bolt": "graph", "arcadedb": "graph",
    "postgresql": "postgres", "notebook": "jupyter", "jupyterlab": "jupyter", "static": "web", "http": "web",
}  # fmt: skip


def _new_pod(control: Control, new: NewPod, caller: Caller) -> Pod:
    template = control.templates.get(new.template)
    if template is None:
        meant = _MEANT.get(new.template.lower(), "")
        guess = f"; did you mean {meant}?" if meant in control.templates else ""
        reason = f"there is no template {shown(new.template)}; there are {', '.join(control.templates)}{guess}"
        raise Problem(422, f"the request is not valid: template: {reason}", [("template", reason)])
    try:
        parameters = template.check_parameters(new.parameters)
    except InvalidParameter as error:
        name = f"parameters.{error.field}"
        detail = f"the request is not valid: {name}: {error.reason}"
        raise Problem(422, detail, [(name, error.reason)]) from error
    return Pod(
        number=0,
        key=new_key(new.name),
        name=new.name,
        template=new.template,
        access=AccessLevel.parse(new.access),
        created_at=0.0,
        parameters=parameters,
        env=new.env,
        secrets={name: new_secret() for name in template.secrets},
        owner=caller.name,
        endpoints=dict(_new_endpoint(template, each, change) for each, change in new.endpoints.items()),
    )


def _new_endpoint(template: Template, name: str, change: EndpointChange) -> tuple[str, EndpointSettings]:
    try:
        if change.hosts:
            raise InvalidEndpoint("hosts", "an administrator can give them when the pod is there")
        return endpoint_settings(template, EndpointSettings(), name, change)
    except InvalidEndpoint as error:
        field = f"endpoints.{name}{f'.{error.field}' if error.field else ''}"
        raise Problem(422, f"the request is not valid: {field}: {error}", [(field, str(error))]) from error


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in pieces:
            yield piece
    except RuntimeFailure as failure:
        yield f"podgate: {failure}\n".encode()
    finally:
        if isinstance(pieces, AsyncGenerator):
            async with aclosing(pieces):
                pass
