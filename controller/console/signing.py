"""Signing in with a password, and signing out."""

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.console.destination import BadDestination, Destination, read_destination, read_host
from controller.console.entering import enter, sign_in_page
from controller.console.forms import check_sender
from controller.console.site import LINK, OIDC, SESSION, Browser, Site, see_other
from controller.identity import Person, Throttled

LONGEST_NAME = 64  # characters


class Signing:
    """The pages of /sign-in and /sign-out."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def routes(self) -> list[Route]:
        """Give the paths."""
        return [
            Route("/sign-in", self.ask, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.ask_to_leave, methods=["GET"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Lead on who is known already; ask all others."""
        browser, destination = self._site.browser(request), read_destination(request.query_params)
        if destination is not None:
            return await enter(self._site, browser, destination, request.cookies.get(LINK, ""))
        return see_other("/") if browser.sign_in else sign_in_page(self._site, browser, None)

    async def sign_in(self, request: Request) -> Response:
        """Judge a name and a password."""
        site, browser = self._site, self._site.browser(request)
        form = await site.form(request, browser, browser.early)  # given before somebody signed in, maybe elsewhere
        destination = read_destination(form)
        name, password = form.get("user", "").strip().lower(), form.get("password", "")
        try:
            person = await site.people.check_password(name[:LONGEST_NAME], password, address=browser.address)
        except Throttled as error:
            return too_many(sign_in_page(site, browser, destination, 429, _told(error.retry_after), name), error)
        if person is None:
            problem = "The user name or the password is not right."
            return sign_in_page(site, replace(browser, sign_in=None), destination, 403, problem, name)
        return await signed_in(site, browser, person, destination)

    async def ask_to_leave(self, request: Request) -> Response:
        """Ask whether to sign out; a GET changes nothing."""
        browser = self._site.browser(request)
        if browser.sign_in is None:
            return self._site.page(browser, "signed-out")
        return self._site.page(browser, "sign-out", host=self._left(request.query_params))

    async def sign_out(self, request: Request) -> Response:
        """End the sign-in, and with it all its sessions at pods."""
        site, browser = self._site, self._site.browser(request)
        form: Mapping[str, str] = {}
        check_sender(request.headers, site.origin)  # also of one who seems not to be signed in: cookies are dropped
        if browser.sign_in is not None:
            form = await site.form(request, browser)
            await site.people.end_session(browser.sign_in.id, browser.by)
        destination = read_destination(form) if form.get("again") else None
        answer = see_other(f"/sign-in{destination.query}" if destination else "/sign-out")
        answer.headers["clear-site-data"] = '"cache", "storage"'
        site.drop(answer, SESSION, LINK, OIDC)
        return answer

    def _left(self, query: Mapping[str, str]) -> str:
        """Give the pod's host that a browser has just left, if it is one."""
        try:
            host = read_host(query.get("host", ""))
        except BadDestination:
            return ""
        return host if self._site.doors.find(host) else ""


async def signed_in(site: Site, browser: Browser, person: Person, destination: Destination | None) -> Response:
    """Begin a sign-in, in place of one that was there, and lead on."""
    known = await site.known_as(browser, person)
    answer = await enter(site, known, destination) if destination else see_other("/")
    site.begin(answer, known)
    return answer


def too_many(answer: Response, error: Throttled) -> Response:
    """Say when another attempt is looked at."""
    answer.headers["retry-after"] = str(max(1, round(error.retry_after)))
    return answer


def _told(seconds: float) -> str:
    wait = f"{round(seconds / 60)} minutes" if seconds > 90 else f"{max(1, round(seconds))} seconds"
    return f"Too many attempts failed. Try again in {wait}."
