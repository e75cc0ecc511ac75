"""The web terminal's tools in Chromium: search, copy and paste by right, drag and drop, guests, a lost network, the end
of granted hours."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import Assignment, Role, User
from assets.models import Asset, Credential
from bastion.gateway.contract import Action
from bastion.models import BastionSession, FileTransfer
from bastion.services import granting, living, requesting
from bastion.services.granting import Wanted
from bastion.services.requesting import Asked
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.screens import *  # noqa: F403 - fixtures
from tests.bastion.screens import (
    PANE,
    SOON,
    STATUS,
    Desk,
    at_work,
    is_over,
    look_for,
    open_folder,
    run,
    screen,
    to_the_keys,
)
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import until
from tests.conftest import NOW, make_person
from tests.portal import elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def put_aside(page: Page, text: str) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", text)


def enter(page: Page, pasted: str, shown: str) -> None:
    """Once it is there: a clipboard is read beside the keys."""
    expect(screen(page)).to_contain_text(pasted)
    run(page, "", shown)


@needs_terminal
def test_what_has_scrolled_away_is_found_copied_and_pasted(desk: Desk) -> None:
    page = desk.at_work()
    run(page, "echo first-need''le-1; seq 1 300; echo second-need''le-2; seq 301 900; echo bot''tom", "bottom")
    expect(screen(page)).not_to_contain_text("needle")

    page.keyboard.press("Control+Shift+F")
    look_for(page, "NEEDLE")
    expect(page.locator("[data-seek-result]")).to_have_text("")
    expect(screen(page)).to_contain_text("first-needle-1")
    page.locator("[data-seek] input").press("Enter")
    expect(screen(page)).to_contain_text("second-needle-2")
    expect(screen(page)).not_to_contain_text("first-needle-1")
    page.locator("[data-seek-previous]").click()
    expect(screen(page)).to_contain_text("first-needle-1")

    page.locator("[data-tool=copy]").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text === 'needle')")
    page.locator("[data-seek-close]").click()
    put_aside(page, "echo pasted-$((6*7))")
    page.locator("[data-tool=paste]").click()
    enter(page, "echo pasted", "pasted-42")
    put_aside(page, "echo by-key-$((6*8))")
    to_the_keys(page)
    page.keyboard.press("Control+Shift+V")
    enter(page, "echo by-key", "by-key-48")


@needs_terminal
def test_a_browser_that_hides_its_clipboard_still_pastes_by_key(desk: Desk) -> None:
    desk.let_in()
    page = desk.page()
    put_aside(page, "echo pasted-$((6*7))")
    page.add_init_script(
        "navigator.clipboard.readText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.reload()
    at_work(page)
    page.locator("[data-tool=paste]").click()
    expect(page.locator("#toasts")).to_contain_text("Ctrl+Shift+V")
    page.keyboard.press("Control+Shift+V")
    enter(page, "echo pasted", "pasted-42")


@needs_terminal
def test_without_the_right_nothing_is_copied_or_pasted(desk: Desk) -> None:
    page = desk.at_work(CONNECT)
    run(page, "echo need''le-$((6*7))", "needle-42")
    for tool in ("copy", "paste", "files", "share"):
        expect(page.locator(f"[data-tool={tool}]")).to_be_disabled()
    put_aside(page, "echo pasted-$((6*7))")
    page.keyboard.press("Control+Shift+F")
    look_for(page, "needle")
    page.locator("[data-seek-close]").click()
    to_the_keys(page)
    page.keyboard.press("Control+Shift+C")
    expect(page.locator("#toasts")).to_contain_text("You may not copy here.")
    page.keyboard.press("Control+Insert")
    page.evaluate("document.execCommand('copy')")
    assert "needle" not in clipboard(page)

    put_aside(page, "echo pasted-$((6*7))")
    for keys in ("Control+Shift+V", "Shift+Insert"):
        to_the_keys(page)
        page.keyboard.press(keys)
    expect(page.locator("#toasts")).to_contain_text("You may not paste here.")
    run(page, "echo on-$((6*8))", "on-48")
    expect(screen(page)).not_to_contain_text("pasted")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """An empty directory."""
    made = tmp_path / "box"
    made.mkdir()
    return made


DROP = """
([name, size]) => {
  const panel = document.querySelector("[data-files]");
  globalThis.seen = [];
  new MutationObserver(() => globalThis.seen.push(panel.querySelector("[data-files-transfers]").textContent))
    .observe(panel.querySelector("[data-files-transfers]"), { childList: true, subtree: true, characterData: true });
  const carried = new DataTransfer();
  const bytes = new Uint8Array(size).map((_, at) => at % 251);
  carried.items.add(new File([bytes], name));
  const said = { dataTransfer: carried, bubbles: true, cancelable: true };
  const happen = (kind) => panel.dispatchEvent(new DragEvent(kind, said));
  happen("dragover");
  globalThis.wasOver = panel.classList.contains("is-over");
  happen("drop");
}
"""


@needs_terminal
def test_a_file_is_dragged_into_the_panel_and_its_progress_is_seen(box: Path, desk: Desk) -> None:
    size = 6 * 1024 * 1024
    page = desk.at_work()
    open_folder(page, box)
    page.evaluate(DROP, ["drag & drop 拖.bin", size])
    expect(page.locator("[data-files-transfers]")).to_contain_text("drag & drop 拖.bin: done", timeout=SOON)
    expect(page.locator("[data-files-list]")).to_contain_text("drag & drop 拖.bin", timeout=SOON)
    assert page.evaluate("globalThis.wasOver")
    assert not page.locator("[data-files].is-over").count()
    steps = [text for text in page.evaluate("globalThis.seen") if " / 6.0 MiB" in text]
    assert len(set(steps)) > 3, steps  # it was seen to move
    sent = (box / "drag & drop 拖.bin").read_bytes()
    assert sent == (bytes(range(251)) * (size // 251 + 1))[:size]

    page.evaluate(DROP, ["drag & drop 拖.bin", 10])
    expect(page.locator("#confirm-dialog")).to_contain_text("Replace it?")
    page.locator("#confirm-dialog [value=yes]").click()
    expect(page.locator("[data-files-transfers]")).to_contain_text("done", timeout=SOON)
    elsewhere(lambda: until(lambda: told() == [size, 10]))


@needs_terminal
def test_a_file_dragged_without_the_right_stays_here(box: Path, desk: Desk) -> None:
    page = desk.at_work(CONNECT | {Action.DOWNLOAD})
    open_folder(page, box)
    page.evaluate(DROP, ["no.bin", 1000])
    expect(page.locator("[data-files-problem]")).to_have_text("You have no right to do this here.")
    assert list(box.iterdir()) == []


def told() -> list[int]:
    with scope.platform("test"):
        return list(FileTransfer.objects.order_by("number").values_list("size", flat=True))


# --- guests ----------------------------------------------------------------------------------------------------------


def colleague(web: Asset) -> User:
    person = make_person("dora", Role.ENGINEER)
    with scope.platform("test"):
        Assignment.objects.create(customer=web.customer, user=person, assigned_at=NOW)
    return person


def invite(page: Page, email: str, *, may_type: bool) -> None:
    page.fill("#share-email", email)
    page.locator("#share-dialog [name=may_type]").set_checked(may_type)
    page.locator("#share-dialog [type=submit]").click()


def copied_link(page: Page, name: str) -> str:
    page.locator("[data-share-list] li", has_text=name).get_by_role("button", name="Copy the link").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.includes('/terminal/shared/'))")
    return urlsplit(clipboard(page)).path


@needs_terminal
def test_colleagues_are_invited_look_on_type_and_are_sent_away(alice: User, eve: User, desk: Desk) -> None:
    page = desk.at_work()
    dora = elsewhere(lambda: colleague(desk.web))
    desk.let_in(person=dora)
    run(page, "echo before-$((6*7))", "before-42")
    page.locator("[data-tool=share]").click()
    expect(page.locator("[data-share-list]")).to_contain_text("Nobody is invited.")
    invite(page, eve.email, may_type=False)
    expect(page.locator("[data-share-problem]")).to_have_text("Nobody of this address may follow this session.")
    invite(page, alice.email, may_type=False)
    expect(page.locator("[data-share-list]")).to_contain_text("Alice · may look on")
    expect(page.locator("[data-share-problem]")).to_have_text("")
    link = copied_link(page, "Alice")

    looking = desk.visit(alice, link)
    expect(looking.locator(STATUS)).to_contain_text("You look on as a guest.", timeout=SOON)
    expect(screen(looking)).to_contain_text("before-42")
    to_the_keys(looking)
    looking.keyboard.type("echo hers-$((6*7))\n")
    for tool in ("share", "files", "paste"):
        expect(looking.locator(f"[data-tool={tool}]")).to_be_disabled()

    page.locator("#share-dialog [data-dialog-close]").click()
    expect(page.locator(STATUS)).to_contain_text("Guests: Alice")
    page.locator("[data-tool=share]").click()
    invite(page, dora.email, may_type=True)
    expect(page.locator("[data-share-list]")).to_contain_text("Dora · may type")
    typing = desk.visit(dora, copied_link(page, "Dora"))
    page.locator("#share-dialog [data-dialog-close]").click()
    expect(typing.locator(STATUS)).to_contain_text("You are a guest and may type.", timeout=SOON)
    run(typing, "echo typed-$((6*9))", "typed-54")
    for one in (page, looking):
        expect(screen(one)).to_contain_text("typed-54")
        expect(screen(one)).not_to_contain_text("hers")

    page.locator("[data-tool=share]").click()
    row = page.locator("[data-share-list] li", has_text="Dora")
    expect(row).to_contain_text("has joined")
    row.get_by_role("button", name="Take back").click()
    is_over(typing)
    expect(typing.locator(STATUS)).to_contain_text("The invitation was taken back")
    page.locator("#share-dialog [data-dialog-close]").click()
    run(page, "exit", "")
    is_over(looking)
    expect(looking.locator(f"{PANE} [data-again]")).to_have_count(0)


# --- a lost network --------------------------------------------------------------------------------------------------


class Line:
    """The network between a browser and the portal: it can be cut, or fall silent without a word."""

    def __init__(self, url: str) -> None:
        self._there = ("127.0.0.1", urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_cut, self._flows = False, threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        self._drop()

    def fall_silent(self) -> None:
        self._flows.clear()

    def mend(self) -> None:
        """What was under way while it was silent is lost."""
        self._drop()
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        self._listener.close()
        self._flows.set()
        self._drop()

    def _drop(self) -> None:
        lost, self._open = self._open, []
        for one in lost:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._there)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._flows.wait()
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(portal: str) -> Iterator[Line]:
    made = Line(portal)
    yield made
    made.close()


@needs_terminal
@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_terminal_comes_back_after_a_lost_network(how: str, desk: Desk, line: Line) -> None:
    desk.let_in()
    page = desk.visit(desk.chen, "/bastion/terminal/")
    page.goto(f"{line.url}/bastion/terminal/?asset={desk.web.pk}")
    at_work(page)
    run(page, "kept=here; (sleep 4; echo while-$((6*7))) & echo ba''ck", "back")
    line.cut() if how == "cut" else line.fall_silent()
    expect(page.locator(STATUS)).to_contain_text("The connection was lost. Trying again", timeout=60_000)
    to_the_keys(page)
    page.keyboard.type("echo typed-into-the-void\n")
    page.wait_for_timeout(4_000)
    line.mend()
    expect(page.locator(f"{PANE}[data-state=open]")).to_be_visible(timeout=60_000)
    expect(screen(page)).to_contain_text("while-42")
    run(page, "echo is $kept", "is here")
    expect(screen(page)).not_to_contain_text("void")
    with_one = elsewhere(sessions)
    assert with_one == ["open"]


def sessions() -> list[str]:
    with scope.platform("test"):
        return list(BastionSession.objects.values_list("state", flat=True))


# --- granted hours ---------------------------------------------------------------------------------------------------


@needs_terminal
def test_the_end_of_granted_hours_is_counted_down_and_ends_it(root: User, desk: Desk) -> None:
    def granted() -> None:
        with scope.platform("test"):
            account = Credential.objects.get(asset=desk.web).username
            began = timezone.now() - timedelta(minutes=4, seconds=20)  # of five
            asked = Asked(account, 5, "look at the disk")
            request = requesting.ask(person=desk.chen, asset=desk.web, asked=asked, now=began)
            requesting.grant(request=request, words="", actor=root, now=began)

    elsewhere(granted)
    page = at_work(desk.page())
    expect(page.locator(STATUS)).to_contain_text("The granted time ends in 0:")
    told = page.locator(STATUS).inner_text()
    expect(page.locator(STATUS)).not_to_have_text(told)  # it counts
    expect(screen(page)).to_contain_text("30 seconds", timeout=SOON)  # there too
    expect(page.locator(f"{PANE}[data-state=ended]")).to_be_visible(timeout=60_000)
    expect(page.locator(STATUS)).to_contain_text("the granted time is over")
    page.locator(f"{PANE} [data-again]").click()
    expect(page.locator(STATUS)).to_contain_text("There is no such resource, or you have no access to it.")
    assert elsewhere(ending) == "window"


@needs_terminal
def test_more_time_takes_the_countdown_away(root: User, desk: Desk) -> None:
    def granted(minutes: int) -> None:
        with scope.platform("test"):
            now = timezone.now()
            wanted = Wanted(CONNECT, SSH, until=now + timedelta(minutes=minutes))
            granting.grant(person=desk.chen, to=desk.web, wanted=wanted, actor=root, now=now)
            living.ask_again(customer_id=desk.web.customer_id, now=now)

    elsewhere(lambda: granted(4))
    page = at_work(desk.page())
    expect(page.locator(STATUS)).to_contain_text("The granted time ends in 3:")
    elsewhere(lambda: granted(60))
    expect(page.locator(STATUS)).to_be_hidden(timeout=SOON)


def ending() -> str:
    with scope.platform("test"):
        return str(BastionSession.objects.get().ending)
