"""The web terminal in Chromium: what a person does there and sees, and chen's desk in front of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import User
from assets.models import Asset
from bastion.gateway.contract import Action
from tests.bastion.test_node_program import target, web
from tests.bastion.test_web_terminal import EVERYTHING, Place, grant, place, program
from tests.portal import Visit, browser, elsewhere, portal, visit

__all__ = ["browser", "desk", "place", "portal", "program", "target", "visit", "web"]  # fixtures, imported with *

SOON = 30_000
SHOTS = os.environ.get("RDMP_ARTIFACTS")
PANE = ".web-terminal-pane.is-shown"
STATUS = f"{PANE} .web-terminal-status"
PROMPT = "PS1='> '; bind 'set enable-bracketed-paste off'; clear; echo rea''dy"


class Desk:
    """In front of it sits chen, who may work for the customer of `web`; what others look at comes by `visit`."""

    def __init__(self, chen: User, web: Asset, root: User, visit: Visit) -> None:
        self.chen, self.web, self.visit, self._root = chen, web, visit, root

    def let_in(self, actions: frozenset[Action] = EVERYTHING, person: User | None = None) -> None:
        elsewhere(lambda: grant(person or self.chen, self.web, self._root, actions))

    def page(self) -> Page:
        """Of the terminal, which asks whether to connect."""
        page = self.visit(self.chen, f"/bastion/terminal/?asset={self.web.pk}")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        return page

    def at_work(self, actions: frozenset[Action] = EVERYTHING) -> Page:
        """Let in to do this, connected, at a prompt."""
        self.let_in(actions)
        return at_work(self.page())


@pytest.fixture
def desk(chen: User, web: Asset, root: User, place: Place, visit: Visit) -> Desk:
    """To be named last: once there is a browser, nobody can be made any more (but by `elsewhere`)."""
    return Desk(chen, web, root, visit)


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"terminal-{name}.png")


def screen(page: Page) -> Locator:
    return page.locator(f"{PANE} .xterm-rows").first


def to_the_keys(page: Page) -> None:
    page.locator(f"{PANE} textarea").first.focus()


def run(page: Page, typed: str, shown: str) -> None:
    to_the_keys(page)
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(screen(page)).to_contain_text(shown, timeout=SOON)


def knock(page: Page) -> None:
    expect(page.locator("select[name=account] option")).to_have_count(1, timeout=SOON)
    page.fill("#connect-work", "look at the disk")
    page.locator("#connect-dialog button[type=submit]").click()


def connect(page: Page, *, running: int = 1) -> None:
    knock(page)
    expect(page.locator(".web-terminal-tab[data-state=open]")).to_have_count(running, timeout=SOON)


def at_work(page: Page) -> Page:
    connect(page)
    run(page, PROMPT, "ready")
    return page


def is_over(page: Page) -> None:
    expect(page.locator(f"{PANE}[data-state=ended]")).to_be_visible(timeout=SOON)


def look_for(page: Page, text: str) -> None:
    page.locator("[data-seek] input").fill(text)
    page.locator("[data-seek] input").press("Enter")


def open_folder(page: Page, folder: Path, *, shows: str = "This directory is empty.") -> None:
    page.locator("[data-tool=files]").click()
    path = page.locator("[data-files-path] input")
    expect(path).not_to_have_value("", timeout=SOON)
    path.fill(str(folder))
    path.press("Enter")
    expect(page.locator("[data-files-list]")).to_contain_text(shows, timeout=SOON)
