"""Your pods: a table of what one may see."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.console.doors import is_opened
from controller.console.entering import sign_in_page
from controller.console.site import Browser, Site
from controller.model import Pod
from router.access import AccessLevel, level_of


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    phase: str
    level: str
    doors: list[dict[str, str]]


class YourPods:
    """The page of /."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def routes(self) -> list[Route]:
        """Give the paths."""
        return [Route("/", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """Show the table."""
        browser = self._site.browser(request)
        if browser.sign_in is None:
            return sign_in_page(self._site, browser, None)
        lines = [self._line(pod, browser) for pod in self._site.doors.seen_by(browser.principal)]
        return self._site.page(browser, "pods", pods=lines)

    def _line(self, pod: Pod, browser: Browser) -> _Line:
        held = level_of(browser.principal, pod.key, pod.levels)
        return _Line(pod.name, str(pod.status.phase), str(held), list(self._doors(pod, held)))

    def _doors(self, pod: Pod, held: AccessLevel | None) -> Iterator[dict[str, str]]:
        for route in self._site.doors.of_pod(pod):
            is_page = is_opened(route)
            opens = is_page and (held or AccessLevel.PUBLIC) >= route.access
            yield {
                "host": route.host,
                "url": self._site.doors.origin(route.host) + "/" if opens else "",
                "told": f"asks for {route.access}" if is_page else str(route.protocol),
            }
