"""Site and Browser: what every page needs, and what is known of who asks."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from controller.console.doors import Doors
from controller.console.forms import Form, RefusedForm, check_sender, check_token, form_token, read_form
from controller.console.rendering import Look
from controller.console.sealed import Record, open_record, seal_record
from controller.control import Control
from controller.identity import LOCAL, By, Person, SignIn
from controller.people import People
from router.access import Principal

SESSION = "__Host-podgate-console"
EARLY = "__Host-podgate-form"  # tells a browser's forms from others' before anybody has signed in
LINK = "__Host-podgate-link"  # a share link just opened, until the pod's host sends the browser back here
OIDC = "__Host-podgate-oidc"  # a sign-in at a provider that is under way
EARLY_LASTS = 24 * 3600.0  # seconds
LONGEST_AGENT = 300  # characters


@dataclass(frozen=True, slots=True)
class Browser:
    """Who asks: a browser, and the user who signed in with it, if one did."""

    address: str
    agent: str
    early: str = field(repr=False)
    session: str = field(default="", repr=False)  # the cookie's value
    sign_in: SignIn | None = None
    person: Person | None = None
    is_new: bool = False  # the early cookie is yet to be set

    @property
    def user(self) -> str:
        """The user's name; empty: nobody signed in."""
        return self.person.name if self.person else ""

    @property
    def secret(self) -> str:
        """What its forms must know."""
        return self.session if self.sign_in else self.early

    @property
    def principal(self) -> Principal | None:
        """Who it is to admission."""
        if self.person is None or self.sign_in is None:
            return None
        return Principal(self.person.name, self.person.groups, credential=f"session:{self.sign_in.id}")

    @property
    def by(self) -> By:
        """What the audit log is told of it."""
        return By(self.user, self.address)


@dataclass(frozen=True, slots=True)
class Site:
    """The parts all pages share."""

    control: Control
    look: Look
    doors: Doors
    provider: str = ""  # what people know the provider of identities by; empty: there is none
    now: Callable[[], float] = time.time

    @property
    def people(self) -> People:
        """The people."""
        return self.control.people

    @property
    def origin(self) -> str:
        """The site's own."""
        return self.control.settings.console_url

    def browser(self, request: Request) -> Browser:
        """Tell who asks."""
        early, session = request.cookies.get(EARLY, ""), request.cookies.get(SESSION, "")
        known = Browser(
            address=_address(request),
            agent=request.headers.get("user-agent", "")[:LONGEST_AGENT],
            early=early or secrets.token_urlsafe(32),
            is_new=not early,
        )
        record = self.unseal("session", session)
        sign_in = self.people.session(record["id"]) if record else None
        person = self.people.find(sign_in.user) if sign_in else None
        return replace(known, session=session, sign_in=sign_in, person=person) if person else known

    def page(
        self, browser: Browser, name: str, status: int = 200, leads_to: Iterable[str] = (), **context: object
    ) -> HTMLResponse:
        """Make a page whose forms this browser can send."""
        context = {"form": form_token(browser.secret), "user": browser.user, **context}
        answer = self.look.page(name, status, context, leads_to)
        if browser.is_new:
            self.keep(answer, EARLY, browser.early, EARLY_LASTS)
        return answer

    def error(  # the parts of one page
        self, status: int, title: str, detail: str, hint: str = "", back: str = "/", back_text: str = "Your pods"
    ) -> HTMLResponse:
        """Make a page that says what is wrong and what to do."""
        context = {"title": title, "detail": detail, "hint": hint, "back": back, "back_text": back_text}
        return self.look.page("error", status, {**context, "status": status})

    async def form(self, request: Request, browser: Browser, secret: str | None = None) -> Form:
        """Read a form that this browser was given by us, and no other. Raises RefusedForm."""
        check_sender(request.headers, self.origin)
        form = await read_form(request)
        check_token(form, browser.secret if secret is None else secret)
        return form

    async def own_form(self, request: Request, browser: Browser) -> Form:
        """The same, of somebody who is signed in. Raises RefusedForm."""
        if browser.sign_in is None:
            raise RefusedForm(403, "You are not signed in any more. Sign in and try again.")
        return await self.form(request, browser)

    def _session_of(self, sign_in: SignIn) -> str:
        """Make the value of a session's cookie.

        A sign-in's id stands readable in what a browser brings to pods' hosts, so the id alone must not be it.
        """
        return self.seal("session", {"id": sign_in.id}, sign_in.expires)

    def begin(self, answer: Response, browser: Browser) -> None:
        """Let a browser be signed in from this answer on."""
        if browser.sign_in is not None:
            self.keep(answer, SESSION, browser.session, browser.sign_in.expires - self.now())

    async def known_as(self, browser: Browser, person: Person) -> Browser:
        """Begin a sign-in in place of the browser's, if it had one; its old cookie opens nothing any more."""
        if browser.sign_in is not None:
            await self.people.end_session(browser.sign_in.id, browser.by)
        sign_in = await self.people.begin_session(person, address=browser.address, agent=browser.agent)
        return replace(browser, sign_in=sign_in, person=person, session=self._session_of(sign_in))

    def seal(self, purpose: str, record: Record, expires: float) -> str:
        """Make a record for a cookie."""
        return seal_record(purpose, record, self.people.key(), expires)

    def unseal(self, purpose: str, text: str) -> Record | None:
        """Give back a record, if it is one of ours and good now."""
        return open_record(purpose, text, self.people.keys(), self.now()) if text else None

    def keep(self, answer: Response, cookie: str, value: str, seconds: float) -> None:
        """Set a cookie that only this host sees, and no script."""
        answer.set_cookie(cookie, value, max_age=int(seconds), path="/", secure=True, httponly=True, samesite="lax")

    def drop(self, answer: Response, *cookies: str) -> None:
        """Remove cookies."""
        for cookie in cookies:
            self.keep(answer, cookie, "", 0)


def see_other(url: str) -> Response:
    """Lead to a URL that we made ourselves."""
    return RedirectResponse(url, 303)


def _address(request: Request) -> str:
    """Give the client's address, which the gateway wrote last; nobody else reaches our socket."""
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or LOCAL
