"""The door as a whole in Chromium: one types in a web terminal, the group's administrator looks on, disconnects, plays
it back and finds the command."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts import scope
from accounts.models import Role, User
from assets.models import Asset
from bastion.models import BastionSession, RecordingPiece, SessionCommand
from bastion.services import groups
from tests.bastion.screens import *  # noqa: F403 - fixtures
from tests.bastion.screens import Desk, connect, run
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import until
from tests.conftest import make_person
from tests.portal import elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
SHOWN = ".ap-term"


def administrator(web: Asset, root: User) -> User:
    """Of a group that somebody else put the server into, and of nothing else."""
    person = make_person("gina", Role.CUSTOMER_MEMBER, web.customer)
    now = timezone.now()
    with scope.platform("test"):
        group = groups.create(customer=web.customer, name="Web", description="", actor=root, now=now)
        groups.add(group=group, assets=[web], actor=root, now=now)
        groups.name_administrator(group=group, person=person, actor=root, now=now)
    return person


def latest() -> BastionSession:
    with scope.platform("test"):
        return BastionSession.objects.latest("allowed_at")


def is_over() -> bool:
    with scope.platform("test"):
        has_ended = BastionSession.objects.filter(state=BastionSession.State.ENDED).exists()
        return has_ended and RecordingPiece.objects.filter(link__is_last=True).exists()


def is_noted() -> bool:
    with scope.platform("test"):
        return SessionCommand.objects.filter(text__contains="needle").exists()


@needs_terminal
def test_typed_watched_disconnected_played_and_found(root: User, desk: Desk) -> None:
    desk.let_in()
    gina = elsewhere(lambda: administrator(desk.web, root))
    hers = desk.page()
    connect(hers)
    run(hers, "PS1='> '; echo before-$((6*7))", "before-42")
    session = elsewhere(latest)

    looking = desk.visit(gina, f"/bastion/sessions/{session.pk}/watch/")
    expect(looking.locator(SHOWN)).to_contain_text("before-42", timeout=15_000)
    run(hers, "echo needle-$((7*7))", "needle-49")
    expect(looking.locator(SHOWN)).to_contain_text("needle-49", timeout=5_000)
    elsewhere(lambda: until(is_noted))
    looking.locator("a[href$='/disconnect/']").click()
    looking.fill("#press-body [name=words]", "Maintenance")
    looking.press("#press-body [name=words]", "Enter")
    expect(hers.locator(".web-terminal-tab[data-state=ended]")).to_be_visible(timeout=10_000)
    elsewhere(lambda: until(is_over))

    found = desk.visit(gina, "/bastion/commands/?q=needle")
    found.locator("a[href*='/recording/?t=']").first.click()
    expect(found.locator(SHOWN)).to_contain_text("before-42", timeout=15_000)
    found.fill("[data-search-text] input", "needle-49")
    found.keyboard.press("Enter")
    found.locator("[data-hits] button").first.click()
    expect(found.locator(SHOWN)).to_contain_text("needle-49", timeout=15_000)
