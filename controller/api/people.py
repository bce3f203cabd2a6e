"""/v1/me, /v1/users and /v1/groups."""

from fastapi import APIRouter

from controller.api.access import Called, Refused, need_admin, need_whole
from controller.api.documents import timestamp
from controller.api.peopledocuments import (
    GroupDocument,
    GroupList,
    LimitDocument,
    MeDocument,
    NewGroup,
    NewUser,
    UserChange,
    UserDocument,
    UserList,
)
from controller.api.problems import Problem
from controller.api.tokens import pod_name
from controller.control import Control
from controller.identity import Caller, Person, UnknownGroup

OWN_CHANGES = frozenset({"password", "current"})  # what people may change of themselves


def people_router(control: Control) -> APIRouter:
    """Make the routes about users and groups."""
    router = APIRouter(prefix="/v1", tags=["people"])
    _users(router, control)
    _one_user(router, control)
    _groups(router, control)
    return router


def _users(router: APIRouter, control: Control) -> None:
    people = control.people

    @router.get("/me")
    async def tell_me(caller: Called) -> MeDocument:
        """Tell who calls, and what their token is limited to."""
        limits = None
        if caller.token is not None:
            token = caller.token
            expires = None if token.expires is None else timestamp(token.expires)
            limits = LimitDocument(
                id=token.id, name=token.name, pod=pod_name(control, token.pod), level=str(token.level),
                expires_at=expires,
            )  # fmt: skip
        return MeDocument(
            user=caller.name, admin=caller.admin, makes_pods=caller.makes_pods,
            groups=sorted(caller.principal.groups), token=limits,
        )  # fmt: skip

    @router.get("/users")
    async def list_users(caller: Called) -> UserList:
        """List all users, by name; for admins."""
        need_admin(caller)
        return UserList(users=[_document(person) for person in people])

    @router.post("/users", status_code=201)
    async def create_user(new: NewUser, caller: Called) -> UserDocument:
        """Make a user; without a password it signs in elsewhere, or with tokens an admin makes."""
        need_admin(caller)
        made = await people.create(
            new.name, password=new.password or "", admin=new.admin, makes_pods=new.makes_pods, email=new.email,
            by=caller.by,
        )  # fmt: skip
        return _document(made)


def _one_user(router: APIRouter, control: Control) -> None:
    people = control.people

    @router.get("/users/{name}")
    async def show_user(name: str, caller: Called) -> UserDocument:
        """Show a user: to admins any, to others themselves."""
        _need_self_or_admin(caller, name)
        return _document(people.named(name))

    @router.patch("/users/{name}")
    async def change_user(name: str, change: UserChange, caller: Called) -> UserDocument:
        """Change a user; their own password people change with the current one. A new password ends all sign-ins."""
        _need_self_or_admin(caller, name)
        if not caller.admin:
            await _check_own_change(control, caller, change)
        password = change.password if "password" in change.model_fields_set else None
        person = people.named(name)
        if password is not None or {"admin", "disabled", "makes_pods", "email"} & change.model_fields_set:
            person = await people.users.change(
                name, admin=change.admin, disabled=change.disabled, makes_pods=change.makes_pods, email=change.email,
                password=password, by=caller.by,
            )  # fmt: skip
        return _document(person)

    @router.delete("/users/{name}", status_code=204)
    async def delete_user(name: str, caller: Called) -> None:
        """Delete a user with its tokens and grants; not while it owns pods."""
        need_admin(caller)
        await people.delete(name, caller.by)

    @router.post("/users/{name}/sign-out", status_code=204)
    async def sign_out_user(name: str, caller: Called) -> None:
        """End all sign-ins and certificates of a user."""
        _need_self_or_admin(caller, name)
        await people.end_sessions(name, caller.by)


def _groups(router: APIRouter, control: Control) -> None:
    people = control.people

    @router.get("/groups")
    async def list_groups(caller: Called) -> GroupList:
        """List all groups with their members; for admins."""
        need_admin(caller)
        return GroupList(groups=[GroupDocument(name=name, members=of) for name, of in people.users.groups().items()])

    @router.post("/groups", status_code=201)
    async def create_group(new: NewGroup, caller: Called) -> GroupDocument:
        """Make a group."""
        need_admin(caller)
        await people.users.create_group(new.name, caller.by)
        return GroupDocument(name=new.name, members=[])

    @router.get("/groups/{name}")
    async def show_group(name: str, caller: Called) -> GroupDocument:
        """Show a group with its members; for admins."""
        need_admin(caller)
        members = people.users.groups().get(name)
        if members is None:
            raise UnknownGroup(name)
        return GroupDocument(name=name, members=members)

    @router.delete("/groups/{name}", status_code=204)
    async def delete_group(name: str, caller: Called) -> None:
        """Delete a group, and what was granted to it."""
        need_admin(caller)
        await people.users.delete_group(name, caller.by)

    @router.put("/groups/{name}/members/{user}", status_code=204)
    async def add_member(name: str, user: str, caller: Called) -> None:
        """Put a user into a group."""
        need_admin(caller)
        await people.users.set_member(name, user, member=True, by=caller.by)

    @router.delete("/groups/{name}/members/{user}", status_code=204)
    async def remove_member(name: str, user: str, caller: Called) -> None:
        """Put a user out of a group they are in."""
        need_admin(caller)
        await people.users.set_member(name, user, member=False, by=caller.by)


def _need_self_or_admin(caller: Caller, name: str) -> None:
    need_whole(caller)
    if not caller.admin and caller.name != name:
        raise Refused("this takes an administrator, or that user; ask one")


async def _check_own_change(control: Control, caller: Caller, change: UserChange) -> None:
    beyond = change.model_fields_set - OWN_CHANGES
    if beyond:
        raise Refused(f"{', '.join(sorted(beyond))}: this takes an administrator; ask one")
    if await control.people.check_password(caller.name, change.current, address=caller.address) is None:
        raise Problem(422, "the current password is not right", [("current", "not right")])


def _document(person: Person) -> UserDocument:
    return UserDocument(
        name=person.name,
        admin=person.admin,
        disabled=person.disabled,
        makes_pods=person.may_make_pods,
        groups=sorted(person.groups),
        email=person.email,
        since=timestamp(person.since),
        created_at=timestamp(person.created),
        has_password=person.has_password,
    )
