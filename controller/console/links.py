"""Share links: what one leads to, and opening it.

Programs that preview links fetch them, so a GET is never a use. Opening goes by way of the pod's host, which must first
give the browser the cookie that a ticket is bound to; until the browser is back, a cookie here remembers the link.
"""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.console.doors import Door
from controller.console.signing import too_many
from controller.console.site import LINK, Browser, Site, see_other
from controller.identity import LinkInfo, NotRedeemable, Throttled
from router.access import AccessLevel

REMEMBERED_FOR = 300.0  # seconds between opening a link and coming back from the pod's host
LONGEST_SESSION = 12 * 3600.0  # seconds
LONGEST_SECRET = 256  # characters
BEGINNING = "/.podgate/begin?path=/&via=link"

_MAY = {
    AccessLevel.READ: "look at it",
    AccessLevel.WRITE: "use it and change what is in it",
    AccessLevel.MANAGE: "use it and manage it",
    AccessLevel.OWNER: "do everything with it",
}


class Links:
    """The pages of /link."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def routes(self) -> list[Route]:
        """Give the paths."""
        return [
            Route("/link/{secret}", self.show, methods=["GET"]),
            Route("/link/{secret}", self.open, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Say what the link leads to."""
        found = self._find(request)
        return self._page(request, self._site.browser(request), *found) if found else self._nothing()

    async def open(self, request: Request) -> Response:
        """Count a use, and send the browser to the pod's host and back."""
        site, browser, found = self._site, self._site.browser(request), self._find(request)
        form = await site.form(request, browser)
        if found is None:
            return self._nothing()
        link, door = found
        try:
            redeemed = await site.people.redeem(
                request.path_params["secret"], form.get("password", ""), address=browser.address
            )
        except NotRedeemable as error:
            if error.reason == "wrong password":
                return self._page(request, browser, link, door, 403, "The password is not right.")
            if error.reason == "throttled":
                problem = f"Too many attempts failed. Try again in {max(1, round(error.retry_after))} seconds."
                answer = self._page(request, browser, link, door, 429, problem)
                return too_many(answer, Throttled(error.retry_after))
            return self._nothing()
        now = site.now()
        record = {
            "host": door.host,
            "link": redeemed.link,
            "expires": repr(min(now + LONGEST_SESSION, redeemed.expires)),
        }
        answer = see_other(site.doors.origin(door.host) + BEGINNING)
        site.keep(answer, LINK, site.seal("link", record, now + REMEMBERED_FOR), REMEMBERED_FOR)
        return answer

    def _find(self, request: Request) -> tuple[LinkInfo, Door] | None:
        secret = request.path_params["secret"]
        link = self._site.people.peek_link(secret) if len(secret) <= LONGEST_SECRET else None
        pod = self._site.control.pods.find(link.pod) if link else None
        door = self._site.doors.front(pod) if pod else None
        return (link, door) if link and door else None

    def _page(  # the parts of one page
        self, request: Request, browser: Browser, link: LinkInfo, door: Door, status: int = 200, problem: str = ""
    ) -> Response:
        return self._site.page(
            browser, "link", status, [self._site.doors.origin(door.host)],
            link=link, host=door.host, may=_MAY.get(link.level, str(link.level)), problem=problem,
            action=f"/link/{quote(request.path_params['secret'], safe='')}",
        )  # fmt: skip

    def _nothing(self) -> Response:
        return self._site.error(
            404, "This link opens nothing",
            "It has expired, was used up or withdrawn, or was not copied as a whole.",
            "Ask whoever sent it for another.",
        )  # fmt: skip
