"""/v1/audit: who did what; and what gateways tell of who connected."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator

from controller.api.access import Called
from controller.api.documents import check_shown, timestamp
from controller.api.peopledocuments import MOST_ENTRIES_AT_ONCE, EntryDocument, EntryList, GatewayEntries
from controller.api.problems import Problem
from controller.api.routes import check_replica
from controller.control import Control
from controller.identity import Caller, Entry, Outcome
from controller.names import name_of
from controller.store.journal import Question
from router.access import AccessLevel

Shown = Annotated[str, AfterValidator(check_shown)]  # PostgreSQL takes no NUL, not even in a question
Moment = Annotated[str | None, Query(max_length=40)]


def audit_router(control: Control) -> APIRouter:
    """Make the routes of the audit log."""
    router = APIRouter(prefix="/v1", tags=["audit"])

    @router.get("/audit")
    async def list_audit(
        caller: Called,
        since: Moment = None,
        until: Moment = None,
        user: Annotated[Shown | None, Query(max_length=100)] = None,
        pod: Annotated[Shown, Query(max_length=64)] = "",
        outcome: Outcome | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES_AT_ONCE)] = 100,
    ) -> EntryList:
        """Tell who did what, newest first: admins everything, others about pods they manage, and about themselves."""
        own = None if caller.admin and caller.whole else caller.name
        person = control.people.find(caller.name)
        question = Question(
            limit=limit,
            since=_moment("since", since),
            until=_moment("until", until),
            who=user,
            pod=pod,
            outcome=outcome,
            own=own,
            own_since=person.created if person else 0.0,
            seen=_held(control, caller, AccessLevel.READ),
            pods=_held(control, caller, AccessLevel.MANAGE),
            only_pod=caller.principal.pod,
        )
        return EntryList(entries=[_document(entry) for entry in await control.people.audit.ask(question)])

    @router.post("/routes/audit", status_code=204, tags=["routes"])
    async def tell_audit(told: GatewayEntries, caller: Called) -> None:
        """Tell who connected to what, or was refused; for gateways. What their clocks have in the future is now."""
        check_replica(caller, told.replica)
        await control.people.audit.take(
            [
                Entry(each.at, each.who, each.what, each.pod, each.address, Outcome(each.outcome), each.detail)
                for each in told.entries
            ]
        )

    return router


def _held(control: Control, caller: Caller, least: AccessLevel) -> frozenset[str]:
    """Give the keys of the pods on which a caller holds a level."""
    levels = ((pod.key, caller.level_on(pod.key, pod.levels)) for pod in control.pods)
    return frozenset(key for key, level in levels if level is not None and level >= least)


def _moment(field: str, text: str | None) -> float | None:
    """Read RFC 3339, or seconds since 1970."""
    if text is None:
        return None
    try:
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        reason = "expected a time such as 2026-01-31T12:00:00Z, or seconds since 1970"
        raise Problem(422, f"the request is not valid: {field}: {reason}", [(field, reason)]) from error


def _document(entry: Entry) -> EntryDocument:
    return EntryDocument(
        at=timestamp(entry.at),
        who=entry.who,
        what=entry.what,
        pod=name_of(entry.pod),
        pod_key=entry.pod,
        address=entry.address,
        outcome=str(entry.outcome),
        detail=entry.detail,
    )
