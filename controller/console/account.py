"""Account: one's own password, sign-ins and tokens."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.console.entering import sign_in_page
from controller.console.forms import Form, RefusedForm
from controller.console.signing import too_many
from controller.console.site import Browser, Site, see_other
from controller.identity import Conflict, Throttled, UnknownToken
from controller.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from router.access import AccessLevel

LONGEST_TOKEN_NAME = 64  # characters
DAY = 24 * 3600.0
LASTING = {"1": 1, "7": 7, "30": 30, "90": 90, "365": 365, "": None}  # days of a token; None: until it is revoked
LEVELS = [level for level in AccessLevel if level is not AccessLevel.PUBLIC]

_DONE = {
    "password": "The password is changed. Everything else that was signed in as you is signed out.",
    "sign-in": "That sign-in is ended, and with it its sessions at every pod.",
    "token": "The token is revoked.",
}


class Account:
    """The pages of /account."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def routes(self) -> list[Route]:
        """Give the paths."""
        return [
            Route("/account", self.show, methods=["GET"]),
            Route("/account/password", self.change_password, methods=["POST"]),
            Route("/account/sign-ins/end", self.end_sign_in, methods=["POST"]),
            Route("/account/tokens", self.create_token, methods=["POST"]),
            Route("/account/tokens/revoke", self.revoke_token, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show the account."""
        browser = self._site.browser(request)
        if browser.person is None:
            return sign_in_page(self._site, browser, None)
        return self._page(browser, done=_DONE.get(request.query_params.get("done", ""), ""))

    async def change_password(self, request: Request) -> Response:
        """Set another password; whoever does knows the one there is. This browser stays signed in, no other does."""
        site, browser = self._site, self._site.browser(request)
        form = await site.own_form(request, browser)
        password, again = form.get("password", ""), form.get("again", "")
        problem = _judged(password, again)
        if problem:
            return self._page(browser, 422, problem)
        try:
            person = await site.people.check_password(browser.user, form.get("current", ""), address=browser.address)
        except Throttled as error:
            problem = f"Too many attempts failed. Try again in {max(1, round(error.retry_after))} seconds."
            return too_many(self._page(browser, 429, problem), error)
        if person is None:
            return self._page(browser, 403, "The current password is not right.")
        person = await site.people.set_password(browser.user, password, browser.by)
        answer = see_other("/account?done=password")
        site.begin(answer, await site.known_as(browser, person))
        return answer

    async def end_sign_in(self, request: Request) -> Response:
        """End one of one's own sign-ins."""
        site, browser = self._site, self._site.browser(request)
        form = await site.own_form(request, browser)
        for sign_in in site.people.signins.of(browser.user):
            if sign_in.id == form.get("id"):
                await site.people.end_session(sign_in.id, browser.by)
        return see_other("/account?done=sign-in")

    async def create_token(self, request: Request) -> Response:
        """Make a token and show it, once."""
        site, browser = self._site, self._site.browser(request)
        name, pod, level, expires_in = self._wanted(await site.own_form(request, browser))
        try:
            made = await site.people.tokens.create(
                browser.user, name, pod=pod, level=level, expires_in=expires_in, by=browser.by
            )
        except Conflict as conflict:
            return self._page(browser, 409, f"{str(conflict).capitalize()}.")
        return site.page(browser, "token", 201, token=made.kept, text=made.text)

    async def revoke_token(self, request: Request) -> Response:
        """Let one of one's own tokens in no more."""
        site, browser = self._site, self._site.browser(request)
        form = await site.own_form(request, browser)
        try:
            await site.people.tokens.revoke(browser.user, form.get("id", ""), browser.by)
        except UnknownToken:
            return self._page(browser, 404, "There is no such token any more.")
        return see_other("/account?done=token")

    def _page(self, browser: Browser, status: int = 200, problem: str = "", done: str = "") -> Response:
        people = self._site.people
        return self._site.page(
            browser, "account", status, person=browser.person, problem=problem, done=done,
            sign_ins=people.signins.of(browser.user), here=browser.sign_in, shortest=SHORTEST_PASSWORD,
            tokens=people.tokens.of(browser.user), levels=[str(level) for level in LEVELS],
            pods={pod.key: pod.name for pod in self._site.doors.seen_by(browser.principal)},
        )  # fmt: skip

    def _wanted(self, form: Form) -> tuple[str, str, AccessLevel, float | None]:
        name, pod = form.get("name", "").strip(), form.get("pod", "")
        if not 0 < len(name) <= LONGEST_TOKEN_NAME or not name.isprintable():
            raise RefusedForm(422, f"A token's name has 1 to {LONGEST_TOKEN_NAME} characters.")
        if form.get("lasting", "") not in LASTING or (pod and self._site.control.pods.get(pod) is None):
            raise RefusedForm(422, "There is no such choice.")
        try:
            level = AccessLevel.parse(form.get("level"))
        except ValueError:
            raise RefusedForm(422, "There is no such level.") from None
        if level is AccessLevel.PUBLIC:
            raise RefusedForm(422, "There is no such level.")
        days = LASTING[form.get("lasting", "")]
        return name, pod, level, None if days is None else days * DAY


def _judged(password: str, again: str) -> str:
    if password != again:
        return "The new password and its repetition are not the same."
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    return ""
