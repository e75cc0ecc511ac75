"""Headless Chromium, signed in as one of the demo's people; screenshots go to `artifacts/`, outside git."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from rdmp.installation import ROOT
from tests.e2e.stack import Stack

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
DESKTOP = (1440, 900)
PHONE = (390, 844)
ARTIFACTS = Path(os.environ.get("RDMP_ARTIFACTS", ROOT / "artifacts"))


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, stack: Stack, email: str, *, size: tuple[int, int] = DESKTOP) -> Page:
    """A page of a person who has come in by the front door: password, and a code for the provider's people."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{stack.url}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", stack.passwords[email])
    page.click("form[action*=login] button[type=submit]")
    if "2fa" in page.url:
        page.fill("input[name=code]", stack.one_time_code(email))
        page.click("button[type=submit]")
    page.wait_for_selector("body:not([data-entrance])")
    assert "/accounts/" not in page.url, page.url
    return page


def shoot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
