"""/v1/pods/{pod}/grants, owner, links and endpoints: who may use a pod, and how."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter

from controller.api.access import Called, check, need_admin, see, too_low
from controller.api.documents import timestamp
from controller.api.endpoints import DEFAULT, InvalidEndpoint, endpoint_settings
from controller.api.peopledocuments import (
    GrantDocument,
    GrantsDocument,
    Level,
    LinkDocument,
    NewLink,
    NewLinkDocument,
    NewOwner,
)
from controller.api.poddocuments import EndpointChange, EndpointDocument
from controller.api.podview import endpoint_document
from controller.api.problems import Problem
from controller.control import Control
from controller.hosts import check_free
from controller.identity import Caller, Entry
from controller.model import Link, Pod
from controller.sharing import Held
from router.access import AccessLevel, Action


def sharing_router(control: Control) -> APIRouter:
    """Make the routes about who may use a pod."""
    router = APIRouter(prefix="/v1/pods/{name}", tags=["sharing"])
    _grants(router, control)
    _links(router, control)
    _endpoints(router, control)
    return router


def _grants(router: APIRouter, control: Control) -> None:
    sharing = control.people.sharing

    @router.get("/grants")
    async def list_grants(name: str, caller: Called) -> GrantsDocument:
        """Tell whose a pod is, and who else may use it."""
        return _document(see(control, caller, name, Action.SHARE, "see who may use it"))

    @router.put("/grants/{to}")
    async def share_pod(name: str, to: str, level: Level, caller: Called) -> GrantsDocument:
        """Give user:NAME, group:NAME or everyone a level, in place of the one they have."""
        pod = see(control, caller, name, Action.SHARE)
        given = AccessLevel.parse(level.level)
        return _document(await sharing.grant(pod.key, to, given, held=_held(caller), by=caller.by))

    @router.delete("/grants/{to}")
    async def unshare_pod(name: str, to: str, caller: Called) -> GrantsDocument:
        """Take back what somebody was given."""
        pod = see(control, caller, name, Action.SHARE, "unshare it")
        return _document(await sharing.ungrant(pod.key, to, held=_held(caller), by=caller.by))

    @router.put("/owner")
    async def give_pod_away(name: str, owner: NewOwner, caller: Called) -> GrantsDocument:
        """Give a pod to another user; who owned it holds nothing of it then."""
        pod = see(control, caller, name, Action.GIVE_AWAY, "give it away")
        return _document(await sharing.give(pod.key, owner.user, held=_held(caller), by=caller.by))


def _links(router: APIRouter, control: Control) -> None:
    sharing = control.people.sharing

    @router.post("/links", status_code=201)
    async def make_link(name: str, new: NewLink, caller: Called) -> NewLinkDocument:
        """Make a link that lets in whoever has it; its secret is told this once."""
        pod = see(control, caller, name, Action.SHARE)
        if not control.settings.console_url:
            raise Problem(409, "links lead to the console, which has no name; start podgate with --console-host")
        made = await sharing.make_link(
            pod.key,
            AccessLevel.parse(new.level),
            expires_in=new.expires_in,
            uses=new.uses,
            password=new.password or "",
            held=_held(caller),
            by=caller.by,
        )
        return NewLinkDocument(
            id=made.kept.id,
            url=f"{control.settings.console_url}/link/{made.secret}",
            level=str(made.kept.level),
            expires_at=timestamp(made.kept.expires),
        )

    @router.delete("/links/{link}", status_code=204)
    async def remove_link(name: str, link: str, caller: Called) -> None:
        """End a link, and every session that came from it."""
        pod = see(control, caller, name, Action.SHARE, "end a link to it")
        await sharing.remove_link(pod.key, link, held=_held(caller), by=caller.by)


def _endpoints(router: APIRouter, control: Control) -> None:
    @router.patch("/endpoints/{endpoint}")
    async def change_endpoint(name: str, endpoint: str, change: EndpointChange, caller: Called) -> EndpointDocument:
        """Change how an endpoint is used; `default` is the one without a name. `public` takes the owner."""
        pod = see(control, caller, name, Action.EDIT, "change how it is used")
        template = control.templates.get(pod.template)
        if template is None:
            raise Problem(409, f"template {pod.template!r} is not there any more")

        def changed(pod: Pod) -> tuple[Pod, Sequence[Entry]]:
            check(caller, pod, Action.EDIT, "change how it is used")
            called = "" if endpoint == DEFAULT else endpoint
            try:
                known, settings = endpoint_settings(template, pod.settings_of(called), endpoint, change)
            except InvalidEndpoint as error:
                if not error.field:
                    raise Problem(404, f"pod {pod.name!r}: {error}") from error
                raise Problem(
                    422, f"the request is not valid: {error.field}: {error}", [(error.field, str(error))]
                ) from error
            if set(settings.hosts) - set(pod.settings_of(known).hosts):
                need_admin(caller)
                check_free(settings.hosts, pod, known, control.pods, control.settings)
            after = replace(pod, endpoints={**pod.endpoints, known: settings})
            _check_opening(caller, pod, after, known)
            detail = (
                f"{known or DEFAULT}: {', '.join(sorted(change.model_fields_set))}, access {after.access_of(known)}"
            )
            return after, [control.people.audit.entry(caller.by, "change endpoint", pod=pod.key, detail=detail)]

        after = await control.pods.share(pod.key, changed, alone=bool(change.hosts))
        called = "" if endpoint == DEFAULT else endpoint
        known = next(each for each in template.endpoints if each.name == called)
        return endpoint_document(control, after, known)


def _check_opening(caller: Caller, before: Pod, after: Pod, endpoint: str) -> None:
    """See that nobody but an owner opens an endpoint to everybody. Raises Refused."""
    if after.access_of(endpoint) is not AccessLevel.PUBLIC or before.access_of(endpoint) is AccessLevel.PUBLIC:
        return
    held = caller.level_on(before.key, before.levels)
    if held is not AccessLevel.OWNER:
        raise too_low(caller, before, AccessLevel.OWNER, "make an endpoint public", held)


def _held(caller: Caller) -> Held:
    return lambda pod: caller.level_on(pod.key, pod.levels)


def _document(pod: Pod) -> GrantsDocument:
    return GrantsDocument(
        owner=pod.owner,
        grants=[GrantDocument(to=to, level=str(level)) for to, level in sorted(pod.grants.items())],
        links=[_link(link) for link in pod.links],
    )


def _link(link: Link) -> LinkDocument:
    return LinkDocument(
        id=link.id,
        level=str(link.level),
        expires_at=timestamp(link.expires),
        uses_left=link.uses_left,
        has_password=bool(link.password),
        created_by=link.created_by,
    )
