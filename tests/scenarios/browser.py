"""Chromium as people have it, driven by Playwright, trusting a test's authority and nothing else that is new.

Chromium takes what its user trusts from an NSS database in the home directory: the browser gets a home of its own.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CERTUTIL = shutil.which("certutil")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and CERTUTIL), reason="needs chromium and certutil (libnss3-tools) of the distribution"
)
PATIENCE = 30_000.0  # milliseconds that anything in a page may take
PICTURES = Path(os.environ.get("PODGATE_PICTURES") or Path(tempfile.gettempdir()) / "podgate-pictures")


@contextmanager
def chromium(ca: Path) -> Iterator[Browser]:
    """Run a browser that trusts `ca`."""
    with tempfile.TemporaryDirectory(prefix="podgate-browser-", ignore_cleanup_errors=True) as home:
        _trust(Path(home), ca)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                chromium_sandbox=os.geteuid() != 0,
                env={**os.environ, "HOME": home},
            )
            try:
                yield browser
            finally:
                browser.close()


@contextmanager
def person(browser: Browser, **options: str) -> Iterator[BrowserContext]:
    """Give somebody's browser: no cookies, no storage, shared with nobody; options are such as `color_scheme`."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    try:
        yield context
    finally:
        context.close()


def picture(page: Page, name: str) -> Path:
    """Keep a picture of a page, for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path


def _trust(home: Path, ca: Path) -> None:
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    store = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*store, "-N", "--empty-password"], check=True, capture_output=True)
    subprocess.run([*store, "-A", "-n", "podgate", "-t", "C,,", "-i", str(ca)], check=True, capture_output=True)
