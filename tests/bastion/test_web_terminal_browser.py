"""The web terminal's page in headless Chromium: connect, type, resize, search, split, files, a reload."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import User
from assets.models import Asset, SshAccess
from bastion.access import OWN
from bastion.gateway.contract import Action
from bastion.services import granting
from bastion.services.granting import Wanted
from tests.assets.sshd import ACCOUNT_PASSWORD, RealHost, running
from tests.bastion.conftest import SSH
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import target, web  # noqa: F401 - fixtures
from tests.bastion.test_web_terminal import Place, grant, place, program  # noqa: F401 - fixtures
from tests.portal import Visit, browser, elsewhere, portal, visit  # noqa: F401 - fixtures

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

SOON = 30_000
SHOTS = os.environ.get("RDMP_ARTIFACTS")


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"terminal-{name}.png")


def screen(page: Page, at: int = 0):  # type: ignore[no-untyped-def]
    return page.locator(".web-terminal-pane.is-shown .xterm-rows").nth(at)


def run(page: Page, typed: str, shown: str) -> None:
    page.locator(".web-terminal-pane.is-shown textarea").first.focus()
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(screen(page)).to_contain_text(shown, timeout=SOON)


def connect(page: Page, *, running: int = 1) -> None:
    expect(page.locator("select[name=account] option")).to_have_count(1, timeout=SOON)
    page.fill("#connect-work", "look at the disk")
    page.locator("#connect-dialog button[type=submit]").click()
    expect(page.locator(".web-terminal-tab[data-state=open]")).to_have_count(running, timeout=SOON)


@needs_terminal
def test_a_person_works_in_the_browser(
    chen: User,
    web: Asset,  # noqa: F811 - the fixture
    root: User,
    place: Place,  # noqa: F811 - the fixture
    tmp_path: Path,
    visit: Visit,  # noqa: F811 - the fixture
) -> None:
    elsewhere(lambda: grant(chen, web, root))
    page = visit(chen, f"/bastion/terminal/?asset={web.pk}")
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
    page.locator("[data-seek] input").fill("no such words")
    page.locator("[data-seek] input").press("Enter")
    expect(page.locator("[data-seek-result]")).to_have_text("Nothing found")
    page.locator("[data-seek] input").press("Escape")


def files_go_up_and_down(page: Page, folder: Path) -> None:
    data = bytes(range(256)) * 8192
    (folder / "notes.txt").write_text("kept on the server\n")
    page.locator("[data-tool=files]").click()
    path = page.locator("[data-files-path] input")
    expect(path).not_to_have_value("", timeout=SOON)
    path.fill(str(folder))
    path.press("Enter")
    expect(page.locator("[data-files-list]")).to_contain_text("notes.txt", timeout=SOON)
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
    expect(page.locator(".web-terminal-pane.is-shown")).to_have_count(2)
    page.locator("[data-theme-choice=dark]").first.evaluate("button => button.click()")
    shoot(page, "split-dark")
    page.locator("[data-tool=split]").click()


def a_telephone_has_its_keys(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("[data-key=esc]")).to_be_visible()
    shoot(page, "phone-dark")
    page.locator("[data-key=ctrl]").click()
    expect(page.locator("[data-key=ctrl]")).to_have_attribute("aria-pressed", "true")
    page.locator(".web-terminal-pane.is-shown textarea").first.focus()
    page.keyboard.type("c")
    expect(screen(page)).to_contain_text("^C", timeout=SOON)
    run(page, "exit", "")
    expect(page.locator(".web-terminal-pane.is-shown [data-again]")).to_be_visible(timeout=SOON)


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
def test_a_person_signs_in_with_a_password_of_their_own(
    chen: User,
    web: Asset,  # noqa: F811 - the fixture
    root: User,
    place: Place,  # noqa: F811 - the fixture
    host: RealHost,
    visit: Visit,  # noqa: F811 - the fixture
) -> None:
    seen = subprocess.run(
        ["ssh-keyscan", "-p", str(host.port), "127.0.0.1"], capture_output=True, text=True, check=True
    )

    def prepare() -> None:
        with scope.platform("test"):
            host_key = seen.stdout.splitlines()[0].partition(" ")[2]
            SshAccess.objects.filter(asset=web).update(port=host.port, host_key=host_key)
            wanted = Wanted(frozenset({Action.CONNECT}), SSH, accounts=(OWN,))
            granting.grant(person=chen, to=web, wanted=wanted, actor=root, now=timezone.now())

    elsewhere(prepare)
    page = visit(chen, f"/bastion/terminal/?asset={web.pk}")
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
    page.locator(".web-terminal-pane.is-shown [data-again]").click()
    expect(page.locator("#own-dialog")).to_be_visible(timeout=SOON)
    page.locator("#own-dialog [data-dialog-close]").click()
    expect(page.locator(".web-terminal-pane.is-shown [data-again]")).to_be_visible(timeout=SOON)
