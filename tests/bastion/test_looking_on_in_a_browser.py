"""A person at a real server; an administrator looks on in Chromium, disconnects, plays it back, finds a command."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from bastion.models import BastionSession, Node, RecordingPiece, SessionCommand
from tests.bastion import kept
from tests.bastion.conftest import server
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import Program, program, ssh, target, until, web
from tests.portal import Visit, browser, elsewhere, portal, visit

__all__ = ["browser", "portal", "program", "ssh", "target", "visit", "web"]  # fixtures
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
SHOWN = ".ap-term"
TAPE = "document.querySelector('[data-recording]')"


def latest() -> BastionSession:
    with scope.platform("test"):
        return BastionSession.objects.joined().latest("allowed_at")


def is_state(state: str) -> bool:
    with scope.platform("test"):
        return BastionSession.objects.filter(state=state).exists()


class Shell:
    """An SSH client with a terminal."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            [command[0], "-tt", *command[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\r")
        self.process.stdin.flush()


@pytest.fixture
def shell(ssh: Callable[..., list[str]], program: Program) -> Iterator[Shell]:
    made = Shell(ssh())
    yield made
    made.process.kill()
    made.process.wait(10)


def screen(page: Page) -> str:
    return page.locator(SHOWN).inner_text()


@needs_terminal
def test_watched_disconnected_played_back_and_found(
    shell: Shell,
    visit: Visit,
    root: User,
) -> None:
    elsewhere(lambda: until(lambda: is_state("open")))
    session = elsewhere(latest)
    shell.type("echo before-$((6*7))")
    elsewhere(lambda: until(lambda: _commands() >= 1))
    page = visit(root, f"/bastion/sessions/{session.pk}/watch/")
    expect(page.locator("[data-watch][data-state=live]")).to_have_count(1)
    expect(page.locator(SHOWN)).to_contain_text("before-42", timeout=15_000)
    shell.type("echo after-$((7*7)); printf '\\033[1;31mred\\033[0m\\n'")
    expect(page.locator(SHOWN)).to_contain_text("after-49", timeout=5_000)
    for number in range(30):
        shell.type(f"echo row-{number}")
    expect(page.locator(SHOWN)).to_contain_text("row-29", timeout=15_000)
    assert screen(page).count("row-29") <= 3  # typed, echoed by the shell, shown

    page.locator("a[href$='/disconnect/']").click()
    page.fill("#press-body [name=words]", "Maintenance")
    began = time.monotonic()
    page.press("#press-body [name=words]", "Enter")
    shell.process.wait(10)
    assert time.monotonic() - began < 5  # of which the form takes the most; the second stands in a test of its own
    elsewhere(lambda: until(lambda: is_state("ended")))
    expect(page.locator("[data-watch][data-state=over]")).to_have_count(1, timeout=10_000)
    elsewhere(lambda: until(_is_whole))

    page = visit(root, "/bastion/commands/?q=after")
    page.locator("a[href*='/recording/?t=']").first.click()
    expect(page.locator(SHOWN)).to_contain_text("before-42", timeout=15_000)
    page.locator("[data-seek]").last.click()
    expect(page.locator(SHOWN)).to_contain_text("row-28", timeout=15_000)
    page.fill("[data-search-text] input", "AFTER-49")
    page.keyboard.press("Enter")
    page.locator("[data-hits] button").first.click()
    expect(page.locator(SHOWN)).to_contain_text("after-49", timeout=15_000)
    page.wait_for_timeout(1_000)
    assert "row-" not in screen(page)  # it stands still at what was found
    page.select_option("[data-player-theme]", "dracula")
    expect(page.locator(".asciinema-player-theme-dracula")).to_have_count(1)
    with_audit = elsewhere(_acts)
    assert with_audit["bastion.session.watch"] == 1
    assert with_audit["bastion.recording.view"] == 1


def test_a_recording_is_played_faster_and_without_its_pauses(
    jia: Customer, node: Node, root: User, visit: Visit, tmp_path: Path
) -> None:
    def recorded() -> BastionSession:
        made = kept.begin(node, server(jia, "web-02"), root)
        kept.record(made, tmp_path, kept.lines("one\r\n", "two\r\n", "three\r\n", seconds=60))
        kept.end(made)
        return made

    page = visit(root, f"/bastion/sessions/{elsewhere(recorded).pk}/recording/")
    expect(page.locator(SHOWN)).to_contain_text("one", timeout=15_000)

    def play(speed: str, pauses: str) -> None:
        page.select_option("[data-speed]", speed)
        page.select_option("[data-idle]", pauses)
        page.evaluate(f"async () => {{ const {{ tape }} = {TAPE}; await tape.seek(0); await tape.play(); }}")

    def at() -> float:
        return float(page.evaluate(f"() => {TAPE}.tape.now()"))

    play("1", "0")
    page.wait_for_timeout(1500)
    assert 1 <= at() < 30
    assert "two" not in screen(page)
    play("16", "0")
    expect(page.locator(SHOWN)).to_contain_text("two", timeout=20_000)  # a minute takes less than four seconds
    assert "three" not in screen(page)
    play("1", "0.5")
    expect(page.locator(SHOWN)).to_contain_text("three", timeout=20_000)  # so do two minutes of pauses
    assert at() >= 120


def _commands() -> int:
    with scope.platform("test"):
        return SessionCommand.objects.count()


def _is_whole() -> bool:
    with scope.platform("test"):
        return RecordingPiece.objects.filter(link__is_last=True).exists()


def _acts() -> dict[str, int]:
    with scope.platform("test"):
        names = list(AuditEntry.objects.values_list("action", flat=True))
    return {name: names.count(name) for name in names}
