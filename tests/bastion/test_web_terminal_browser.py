"""The web terminal's page in headless Chromium: connect, type, resize, search, split, files, a reload."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import User
from assets.models import SshAccess
from bastion.access import OWN
from bastion.services import granting
from bastion.services.granting import Wanted
from tests.assets.sshd import ACCOUNT_PASSWORD, RealHost, running
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.screens import *  # noqa: F403 - fixtures
from tests.bastion.screens import PANE, SOON, Desk, connect, look_for, open_folder, run, screen, shoot, to_the_keys
from tests.bastion.targets import needs_terminal
from tests.portal import elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@needs_terminal
def test_a_person_works_in_the_browser(tmp_path: Path, desk: Desk) -> None:
    desk.let_in()
    page = desk.page()
    policy: list[str] = []
    page.on("console", lambda said: policy.append(said.text) if "Content Security" in said.text else None)
    shoot(page, "dialog")
    connect(page)
    run(page, "PS1='> '; echo $((6*7)) 中文", "42 中文")
    shoot(page, "desktop")
    it_follows_the_window(page)
    it_is_searched(page)
    files_go_up_and_down(page, tmp_path)
    a_reload_comes_back(page)
    two_stand_side_by_side(page)
    a_telephone_has_its_keys(page)
    assert policy == []


def it_follows_the_window(page: Page) -> None:
    rows = "document.querySelector('.is-shown .xterm-rows').children.length"
    high = page.evaluate(rows)
    page.set_viewport_size({"width": 1000, "height": 600})
    page.wait_for_function(f"{rows} < {high}")
    run(page, "clear; stty size | tr ' ' x", f"{page.evaluate(rows)}x")
    page.set_viewport_size({"width": 1440, "height": 900})


def it_is_searched(page: Page) -> None:
    page.locator("[data-tool=search]").click()
    look_for(page, "no such words")
    expect(page.locator("[data-seek-result]")).to_have_text("Nothing found")
    page.locator("[data-seek] input").press("Escape")


def files_go_up_and_down(page: Page, folder: Path) -> None:
    data = bytes(range(256)) * 8192
    (folder / "notes.txt").write_text("kept on the server\n")
    open_folder(page, folder, shows="notes.txt")
    file = {"name": "up.bin", "mimeType": "application/octet-stream", "buffer": data}
    page.locator("[data-files-input]").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator("[data-files-list]")).to_contain_text("up.bin", timeout=SOON)
    assert (folder / "up.bin").read_bytes() == data
    page.evaluate("delete globalThis.showSaveFilePicker")
    with page.expect_download() as download:
        page.get_by_role("button", name="notes.txt").click()
    assert download.value.path().read_text() == "kept on the server\n"
    shoot(page, "files")
    page.locator("[data-tool=files]").click()


def a_reload_comes_back(page: Page) -> None:
    run(page, "kept=here", "kept=here")
    page.reload()
    expect(page.locator(".web-terminal-tab[data-state=open]")).to_be_visible(timeout=SOON)
    run(page, "echo is $kept", "is here")


def two_stand_side_by_side(page: Page) -> None:
    page.locator("[data-tool=split]").click()
    connect(page, running=2)
    expect(page.locator(PANE)).to_have_count(2)
    page.locator("[data-theme-choice=dark]").first.evaluate("button => button.click()")
    shoot(page, "split-dark")
    page.locator("[data-tool=split]").click()


def a_telephone_has_its_keys(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("[data-key=esc]")).to_be_visible()
    shoot(page, "phone-dark")
    page.locator("[data-key=ctrl]").click()
    expect(page.locator("[data-key=ctrl]")).to_have_attribute("aria-pressed", "true")
    to_the_keys(page)
    page.keyboard.type("c")
    expect(screen(page)).to_contain_text("^C", timeout=SOON)
    run(page, "exit", "")
    expect(page.locator(f"{PANE} [data-again]")).to_be_visible(timeout=SOON)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RealHost]:
    """A real sshd that lets its account in by password."""
    (tmp_path / "host").mkdir()
    with running(tmp_path / "host") as made:
        if not isinstance(made, RealHost):
            pytest.skip("a real account takes root")
        yield made


def is_asked(page: Page) -> None:
    page.select_option("select[name=account]", OWN)
    page.fill("#connect-work", "look at the disk")
    page.locator("#connect-dialog button[type=submit]").click()
    expect(page.locator("#own-dialog")).to_be_visible(timeout=SOON)


@needs_terminal
def test_a_person_signs_in_with_a_password_of_their_own(root: User, host: RealHost, desk: Desk) -> None:
    seen = subprocess.run(
        ["ssh-keyscan", "-p", str(host.port), "127.0.0.1"], capture_output=True, text=True, check=True
    )

    def prepare() -> None:
        with scope.platform("test"):
            host_key = seen.stdout.splitlines()[0].partition(" ")[2]
            SshAccess.objects.filter(asset=desk.web).update(port=host.port, host_key=host_key)
            wanted = Wanted(CONNECT, SSH, accounts=(OWN,))
            granting.grant(person=desk.chen, to=desk.web, wanted=wanted, actor=root, now=timezone.now())

    elsewhere(prepare)
    page = desk.page()
    expect(page.locator("select[name=account] option")).to_have_count(1, timeout=SOON)
    is_asked(page)
    page.fill("#own-name", host.account)
    page.fill("#own-password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("[data-own-problem]")).to_contain_text(host.account, timeout=SOON)
    expect(page.locator("#own-name")).to_have_value(host.account)
    expect(page.locator("#own-password")).to_have_value("")
    shoot(page, "own")
    page.fill("#own-password", ACCOUNT_PASSWORD)
    page.keyboard.press("Enter")
    run(page, "id -un; echo $((6*7))", "42")
    expect(page.locator(".web-terminal-tab")).to_contain_text(f"{host.account}@web-01")
    run(page, "exit", "")
    page.locator(f"{PANE} [data-again]").click()
    expect(page.locator("#own-dialog")).to_be_visible(timeout=SOON)
    page.locator("#own-dialog [data-dialog-close]").click()
    expect(page.locator(f"{PANE} [data-again]")).to_be_visible(timeout=SOON)
