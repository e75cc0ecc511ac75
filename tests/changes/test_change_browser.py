"""The change's page and the approver's inbox without a mouse, in headless Chromium."""

import pytest
from playwright.sync_api import Page, expect

from accounts import scope
from accounts.models import User
from assets.models import Asset
from changes.models import Change, ScriptHost, ScriptRun
from changes.services import confirming, drafting
from incidents.models import Incident
from tests.changes.conftest import approve, back_up, draft, sign, try_out
from tests.changes.hosts import approved, script
from tests.conftest import NOW
from tests.portal import Visit, elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("contacts")]


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer_id):
        return draft(incident, chen, web)


def focus_is_seen(page: Page) -> bool:
    """Whether what has the focus is marked: by an outline, or by the ring of a field or button."""
    return bool(
        page.evaluate(
            """() => { const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== "none" || style.boxShadow !== "none"; }"""
        )
    )


def test_a_change_is_handed_in_and_its_risk_told_by_keyboard(change: Change, chen: User, visit: Visit) -> None:
    page = visit(chen, f"/changes/{change.pk}/")
    keys = page.keyboard
    keys.press("s")
    dialog = page.locator("#press-dialog")
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    keys.press("s")
    expect(dialog).to_be_visible()
    for _ in range(8):
        if page.evaluate("document.activeElement.matches('.dialog-foot .btn-primary')"):
            break
        keys.press("Tab")
    assert focus_is_seen(page)
    keys.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator('.gate.is-current [data-shortcut="r"]')).to_be_visible()
    keys.press("r")
    expect(dialog.locator("textarea")).to_be_focused()
    assert focus_is_seen(page)
    keys.type("It may restart")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.locator(".gate.is-current")).to_contain_text("Customer confirmed")
    keys.press("?")
    expect(page.locator("#keyboard-help")).to_contain_text("Schedule")


def test_the_inbox_is_worked_through_by_keyboard(
    change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User, visit: Visit
) -> None:
    def ask() -> None:
        with scope.customer(change.customer_id):
            drafting.submit(change=change, actor=chen, now=NOW)
            confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
            sign(change, alice)
            try_out(change, staging, chen)
            back_up(change, web, chen)
            approve(change, lin)

    elsewhere(ask)
    page = visit(alice, "/changes/approvals/", width=390, height=844)
    card = page.locator("section[data-row]")
    expect(card).to_have_count(1)
    page.keyboard.press("y")
    expect(card).to_have_count(1)  # a card that has no focus hears nothing
    page.keyboard.press("j")
    expect(card).to_be_focused()
    assert focus_is_seen(page)
    page.keyboard.press("n")
    expect(card.locator("textarea")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("y")
    expect(card).to_have_count(0)
    expect(page.locator("main")).to_contain_text(change.number)


@pytest.fixture
def talking(incident: Incident, web: Asset, chen: User, lin: User) -> ScriptHost:
    with scope.customer(incident.customer_id):
        version = approved(script("true"), chen, lin)
        said = {"state": "paused", "reason": "Look", "planned_by": chen, "planned_at": NOW}
        run = ScriptRun.objects.create(customer=incident.customer, version=version, **said)
        return ScriptHost.objects.create(
            customer=incident.customer, run=run, position=1, asset=web, state="running", stdout="first words"
        )


def test_a_fold_that_was_closed_stays_closed_when_more_is_said(talking: ScriptHost, chen: User, visit: Visit) -> None:
    page = visit(chen, f"/changes/script-runs/{talking.run_id}/")
    fold = page.locator(f"#stdout-{talking.pk}")
    expect(fold.locator("pre")).to_be_visible()
    fold.locator("summary").click()
    expect(fold.locator("pre")).to_be_hidden()
    elsewhere(lambda: _says_more(talking.customer_id, talking.pk))
    page.evaluate("document.querySelector('#script-run').dispatchEvent(new CustomEvent('refresh'))")
    expect(fold.locator("pre")).to_have_text("more words")
    expect(fold.locator("pre")).to_be_hidden()


def _says_more(customer_id: int, pk: int) -> None:
    with scope.customer(customer_id):
        ScriptHost.objects.filter(pk=pk).update(stdout="more words")
