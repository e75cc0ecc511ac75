"""Somebody waits at the door, in the web terminal and with an SSH client; whoever decides sees it at once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import User
from assets.models import Asset
from bastion import tasks
from bastion.models import CommandReview, Grant
from bastion.services import granting, reviewing
from bastion.services.granting import Wanted
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.screens import *  # noqa: F403 - fixtures
from tests.bastion.screens import PANE, SOON, STATUS, Desk, is_over, knock, run, shoot
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import is_ended, session, ssh, until  # noqa: F401 - fixtures
from tests.portal import elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@needs_terminal
def test_the_door_opens_when_somebody_lets_them_in(alice: User, root: User, desk: Desk) -> None:
    elsewhere(lambda: want_consent(desk.chen, desk.web, root))
    deciding = desk.visit(alice, "/bastion/reviews/")
    page = desk.page()
    knock(page)
    expect(page.locator(STATUS)).to_contain_text("Waiting for Alice, Root to let you in", timeout=SOON)
    shoot(page, "waiting")
    decide(deciding, "Let in")
    run(page, "echo in-$((6*7))", "in-42")
    expect(page.locator(STATUS)).to_be_hidden()
    expect(page.locator(".web-terminal-tab")).to_contain_text("@web-01")
    run(page, "exit", "")
    page.locator(f"{PANE} [data-again]").click()
    expect(page.locator(STATUS)).to_contain_text("Waiting for Alice, Root to let you in", timeout=SOON)
    decide(deciding, "Refuse")
    is_over(page)
    expect(page.locator(STATUS)).to_contain_text("Nobody let you in")


def decide(page: Page, name: str) -> None:
    """It came by itself: the page was open before."""
    waiting = page.locator("#reviews-waiting section", has_text="look at the disk")
    expect(waiting).to_contain_text("wants to be let in", timeout=SOON)
    shoot(page, f"to-decide-{name.split(maxsplit=1)[0].lower()}")
    waiting.get_by_role("button", name=name).click()
    expect(page.locator("#reviews-waiting section")).to_have_count(0, timeout=SOON)


def want_consent(person: User, asset: Asset, root: User) -> None:
    with scope.platform("test"):
        for grant in Grant.objects.in_force(timezone.now()).filter(person=person):
            granting.end(grant=grant, actor=root, now=timezone.now())
        wanted = Wanted(CONNECT, SSH, needs_consent=True)
        granting.grant(person=person, to=asset, wanted=wanted, actor=root, now=timezone.now())


@pytest.mark.parametrize("is_allowed", [True, False])
def test_an_ssh_client_waits_for_a_word_from_the_portal(
    ssh: Callable[..., list[str]],  # noqa: F811 - the fixture
    web: Asset,
    chen: User,
    root: User,
    alice: User,
    is_allowed: bool,
) -> None:
    want_consent(chen, web, root)
    client = subprocess.Popen(ssh("echo ran"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with scope.platform("test"):
        until(lambda: CommandReview.objects.waiting().exists())
        review = CommandReview.objects.joined().get()
        tasks.sweep()
        assert review.session.state == "allowed"
        reviewing.answer(review=review, is_allowed=is_allowed, words="as agreed", actor=alice, now=timezone.now())
    out, shown = client.communicate(timeout=20)
    assert (client.returncode, out) == ((0, "ran\n") if is_allowed else (255, ""))
    assert "Alice" in shown
    assert "as agreed" in shown
    until(is_ended)
    assert session().ending == ("exit" if is_allowed else "refused")
