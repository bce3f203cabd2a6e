"""People of a test's Podgate: made by the `podgate` command, signing in as they do."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from playwright.sync_api import Page

from tests.running import PATIENCE, Podgate
from tests.scenarios.api import call

PASSWORD = "correct horse battery staple"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a password."""

    name: str
    password: str = PASSWORD


def add(podgate: Podgate, name: str) -> Person:
    """Make a user."""
    call(podgate, "POST", "users", name=name, password=PASSWORD)
    return Person(name)


def make_token(podgate: Podgate, name: str, user: str, **limits: object) -> str:
    """Make a token for somebody, known to every gateway; `limits` are as in the API, such as `level`."""
    made = call(podgate, "POST", "tokens", name=name, user=user, **limits)
    return str(made["token"])


def run_as(podgate: Podgate, token: str, *arguments: str) -> str:
    """Run a `podgate` command as whoever has the token."""
    environment = {**os.environ, "PODGATE_HOME": str(podgate.home), "PODGATE_TOKEN": token}
    command = [sys.executable, "-m", "podgate", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def console(podgate: Podgate) -> str:
    """Give the origin of the site where people sign in."""
    return f"https://podgate.localhost:{podgate.port}"


def sign_in(page: Page, person: Person) -> None:
    """Fill in the sign-in page that a browser was led to."""
    page.get_by_label("User name").fill(person.name)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


class Curl:
    """curl with a cookie jar, which follows redirects as a browser does."""

    def __init__(self, podgate: Podgate, jar: Path) -> None:
        self._podgate = podgate
        self._jar = ["--cookie", str(jar), "--cookie-jar", str(jar), "--header", "Accept: text/html"]

    def ask(self, url: str, *options: str) -> tuple[int, str]:
        """Send one request without any of this; give status and body."""
        status, body, _ = self._run(*options, url)
        return status, body

    def open(self, url: str, *options: str) -> tuple[int, str]:
        """Open an address as a browser; give the last status and page."""
        status, body, _ = self._run(*self._jar, "--location", *options, url)
        return status, body

    def send_form(self, page: str, action: str, **fields: str) -> tuple[int, str]:
        """Send the form that was got as `page`; what it leads to is asked for without its Origin, as browsers do."""
        known = {name: unescape(value) for name, value in _HIDDEN.findall(page)}
        data = [part for name, value in {**known, **fields}.items() for part in ("--data-urlencode", f"{name}={value}")]
        origin = console(self._podgate)
        status, body, place = self._run(*self._jar, *data, "--header", f"Origin: {origin}", f"{origin}{action}")
        return self.open(place) if place else (status, body)

    def _run(self, *options: str) -> tuple[int, str, str]:
        """Give status, body and, where it redirects, the place."""
        common = ["curl", "--silent", "--show-error", "--cacert", str(self._podgate.ca), "--max-time", "30"]
        told = ["--write-out", "\n%{http_code} %{redirect_url}"]
        done = subprocess.run([*common, *told, *options], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        body, _, end = done.stdout.rpartition("\n")
        status, _, place = end.partition(" ")
        return int(status), body, place
