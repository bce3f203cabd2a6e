"""Entering: from a browser that is known here to a pod's host, by a ticket; or a page that says why not."""

from dataclasses import replace

from starlette.responses import Response

from controller.console.destination import Destination
from controller.console.doors import Door
from controller.console.sealed import Record
from controller.console.site import LINK, Browser, Site, see_other
from controller.names import new_secret
from router.access import AccessLevel, Decision, Principal, decide, level_of
from router.sealing import LONGEST_SEALED, Ticket, seal

TICKET_LASTS = 30.0  # seconds
ENTRY = "/.podgate/enter"


async def enter(site: Site, browser: Browser, destination: Destination, cookie: str = "") -> Response:
    """Lead a browser to where it wants to go. `cookie`: its record of a share link just opened."""
    door = site.doors.find(destination.host)
    if door is None:
        return no_such_pod(site)
    opened = site.unseal("link", cookie) if destination.via == "link" else None
    if opened is not None and opened["host"] == door.host:
        return _by_link(site, door, destination, opened)
    if browser.sign_in is None:
        return sign_in_page(site, browser, destination)
    if decide(door.route.access, browser.principal, door.route.pod, door.route.grants) is not Decision.ALLOWED:
        await site.people.audit.refused(browser.by, "open", pod=door.pod.key, detail=door.host)
        return _not_allowed(site, browser, door, destination)
    now, sign_in = site.now(), browser.sign_in
    ticket = _ticket(destination, sign_in.id, now, sign_in.expires)
    return _lead(site, replace(ticket, user=browser.user))


def sign_in_page(
    site: Site, browser: Browser, destination: Destination | None, status: int = 200, problem: str = "", user: str = ""
) -> Response:
    """Ask who it is."""
    leads_to = [site.doors.origin(destination.host)] if destination else []
    return site.page(
        browser, "sign-in", status, leads_to,
        destination=destination, problem=problem, user=user, provider=site.provider,
    )  # fmt: skip


def no_such_pod(site: Site) -> Response:
    """Say that a host is none of ours: nobody is ever led there."""
    return site.error(
        404, "No such pod", "No pod at this address answers browsers.",
        "It may have been deleted, or the address is wrong.",
    )  # fmt: skip


def _by_link(site: Site, door: Door, destination: Destination, opened: Record) -> Response:
    bearer = Principal(link=opened["link"], credential=f"link:{opened['link']}")
    if decide(door.route.access, bearer, door.route.pod, door.route.grants) is not Decision.ALLOWED:
        answer: Response = site.error(
            403, "This link does not open this", "It was withdrawn, or its level is too low.", "Ask for another link."
        )
    else:
        ticket = _ticket(destination, new_secret(), site.now(), float(opened["expires"]))
        answer = _lead(site, replace(ticket, link=opened["link"]))
    site.drop(answer, LINK)
    return answer


def _ticket(destination: Destination, id_: str, now: float, session_expires: float) -> Ticket:
    expires = now + TICKET_LASTS
    return Ticket(destination.host, destination.path, destination.state, id_, now, expires, session_expires)


def _lead(site: Site, ticket: Ticket) -> Response:
    key = site.people.key()
    text = seal(ticket, key.id, key.secret)
    if len(text) > LONGEST_SEALED:
        text = seal(replace(ticket, path="/"), key.id, key.secret)
    return see_other(f"{site.doors.origin(ticket.host)}{ENTRY}?ticket={text}")


def _not_allowed(site: Site, browser: Browser, door: Door, destination: Destination) -> Response:
    held = level_of(browser.principal, door.route.pod, door.route.grants)
    level = max(door.route.access, AccessLevel.READ)
    return site.page(
        browser, "not-allowed", 403, [site.doors.origin(door.host)],
        pod=door.pod.name, destination=destination, level=str(level), held=str(held) if held else "",
        owner=door.pod.owner, command=f"podgate share {door.pod.name} --with {browser.user} --level {level}",
    )  # fmt: skip
