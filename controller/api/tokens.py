"""/v1/login, /v1/tokens and /v1/certificates: what proves to be somebody, made and taken back."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import trio
from cryptography import x509
from fastapi import APIRouter, Query

from certs.authority import Authority
from certs.client import InvalidRequest
from certs.files import CertificateProblem
from controller.api.access import Called, need_admin, need_whole, see
from controller.api.documents import timestamp
from controller.api.peopledocuments import (
    DAY,
    CertificateDocument,
    CertificateRequest,
    Login,
    NewToken,
    NewTokenDocument,
    TokenDocument,
    TokenList,
)
from controller.api.problems import Problem
from controller.control import Control
from controller.identity import ApiToken, By, Caller, UnknownToken
from router.access import AccessLevel, Action

LOGIN_LASTS = 30 * DAY  # seconds: of a token made by signing in
_WRONG = "user or password is not right, or the user is disabled"

OfUser = Annotated[str | None, Query(max_length=64)]


def tokens_router(control: Control) -> APIRouter:
    """Make the routes about what proves to be somebody."""
    router = APIRouter(prefix="/v1", tags=["tokens"])
    _login(router, control)
    _tokens(router, control)
    _certificates(router, control)
    return router


def _login(router: APIRouter, control: Control) -> None:
    people = control.people

    @router.post("/login")
    async def log_in(login: Login, caller: Called) -> NewTokenDocument:
        """Make a token for whoever knows a user's password; needs no token itself."""
        person = await people.check_password(login.user, login.password, address=caller.address)
        if person is None:
            raise Problem(401, _WRONG)
        by = By(person.name, caller.address)
        made = await people.tokens.create(
            person.name, login.name, expires_in=LOGIN_LASTS, by=by, or_similar=True, what="log in"
        )
        return NewTokenDocument(token=made.text, **_fields(control, made.kept))


def _tokens(router: APIRouter, control: Control) -> None:
    people = control.people

    @router.post("/tokens", status_code=201)
    async def create_token(new: NewToken, caller: Called) -> NewTokenDocument:
        """Make a token, for oneself or, as an admin, for another; its text is told this once."""
        need_whole(caller)
        if new.user not in (None, caller.name):
            need_admin(caller)
        pod = see(control, caller, new.pod, Action.SEE).key if new.pod else ""
        made = await people.tokens.create(
            new.user or caller.name,
            new.name,
            pod=pod,
            level=AccessLevel.parse(new.level),
            expires_in=new.expires_in,
            by=caller.by,
        )
        return NewTokenDocument(token=made.text, **_fields(control, made.kept))

    @router.get("/tokens")
    async def list_tokens(caller: Called, user: OfUser = None) -> TokenList:
        """List the tokens of oneself or, as an admin, of another, without their texts."""
        need_whole(caller)
        if user not in (None, caller.name):
            need_admin(caller)
            people.named(user or "")
        found = people.tokens.of(user or caller.name)
        return TokenList(tokens=[TokenDocument(**_fields(control, token)) for token in found])

    @router.delete("/tokens/{name}", status_code=204)
    async def revoke_token(name: str, caller: Called, user: OfUser = None) -> None:
        """Revoke a token by its name or id: one's own or, as an admin, one of `user`. Any token may revoke itself."""
        if caller.token is None or name not in (caller.token.id, caller.token.name):
            need_whole(caller)
        if user not in (None, caller.name):
            need_admin(caller)
        token = _revocable(control, caller, user or caller.name, name)
        await people.tokens.revoke(token.user, token.id, caller.by)


def _certificates(router: APIRouter, control: Control) -> None:
    @router.post("/certificates", status_code=201)
    async def issue_certificate(request: CertificateRequest, caller: Called) -> CertificateDocument:
        """Sign a short-lived client certificate that names the caller."""
        need_whole(caller)

        def sign() -> bytes:
            authority = Authority.open(control.settings.home / "authority")
            return authority.sign_client(request.csr.encode(), caller.name, request.hours)

        try:
            pem = await trio.to_thread.run_sync(sign)
        except InvalidRequest as error:
            raise Problem(422, f"the request is not valid: csr: {error}", [("csr", str(error))]) from error
        except CertificateProblem as error:
            raise Problem(503, str(error)) from error
        ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
        hours = (ends - datetime.fromtimestamp(time.time(), UTC)).total_seconds() / 3600
        await control.people.audit.record(
            caller.name, "issue certificate", address=caller.address, detail=f"for {hours:.1f} hours"
        )
        return CertificateDocument(certificate=pem.decode(), expires_at=timestamp(ends.timestamp()))


def pod_name(control: Control, key: str) -> str | None:
    """Give the name of the pod of this key; None for no pod."""
    pod = control.pods.get(key)
    return pod.name if pod else key or None


def _revocable(control: Control, caller: Caller, user: str, name: str) -> ApiToken:
    """Find the token to revoke; an admin may name any by its id."""
    try:
        token = control.people.tokens.find(user, name)
    except UnknownToken:
        found = control.people.tokens.by_id(name) if caller.admin else None
        if found is None:
            raise
        token = found
    if caller.token is not None and not caller.whole and token.id != caller.token.id:
        need_whole(caller)  # another token has the name that this one has as its id
    return token


def _fields(control: Control, token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "user": token.user,
        "pod": pod_name(control, token.pod),
        "level": str(token.level),
        "created_at": timestamp(token.created),
        "expires_at": None if token.expires is None else timestamp(token.expires),
        "last": token.last,
    }
