"""The board and the incident's page in headless Chromium, over the real ASGI server, database and Redis."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Incident
from tests.incidents.conftest import alarm, make_asset, raise_incident
from tests.portal import Visit, elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_an_alarm_comes_onto_the_board_by_itself_and_is_acknowledged_by_keyboard(
    web: Asset, chen: User, lin: User, visit: Visit
) -> None:
    board, other = visit(chen, "/board/"), visit(lin, "/board/")
    expect(board.get_by_text("Nothing waits for you")).to_be_visible()
    elsewhere(lambda: alarm(web, title="Port 443 does not answer", now=timezone.now()))
    card = board.locator(".incident-card")
    expect(card).to_have_count(1)
    expect(card.locator("[data-countdown-figure]")).to_contain_text("14:")
    expect(board).to_have_title("(1) Board · RDMP Service platform")
    board.keyboard.press("a")
    expect(card).to_have_attribute("data-state", "open")
    board.keyboard.press("j")
    board.keyboard.press("a")
    expect(card).to_have_attribute("data-state", "acknowledged")
    expect(card).to_be_focused()
    expect(other.locator(".incident-card")).to_have_attribute("data-state", "acknowledged")
    expect(other.locator(".ic-who")).to_contain_text("Chen")


def test_the_second_of_two_engineers_reads_who_was_first(
    web: Asset, chen: User, lin: User, visit: Visit, browser: Browser
) -> None:
    incident = elsewhere(lambda: alarm(web, now=timezone.now()))
    page = visit(lin, f"/incidents/{incident.pk}/")
    page.context.set_offline(True)  # the live channel is silent: the button stays although it is too late
    elsewhere(lambda: _acknowledge(incident, chen))
    page.context.set_offline(False)
    page.evaluate("document.querySelector('form[hx-post$=\"/acknowledge/\"] button')?.click()")
    expect(page.locator(".toasts")).to_contain_text("Chen has already taken")
    expect(page.locator("#timeline")).to_contain_text("Chen")


def _acknowledge(incident: Incident, person: User) -> None:
    with scope.customer(incident.customer_id):
        services.acknowledge(incident=incident, actor=person, now=timezone.now())


def test_focus_and_filter_survive_what_happens_meanwhile(jia: Customer, chen: User, visit: Visit) -> None:
    assets = elsewhere(lambda: [make_asset(jia, name) for name in ("web-1", "web-2", "web-3")])
    now = timezone.now()
    second = elsewhere(lambda: alarm(assets[1], key="k:2", now=now))
    board = visit(chen, "/board/?severity=2")
    board.locator(f"#incident-{second.pk}").focus()
    elsewhere(lambda: alarm(assets[0], key="k:1", now=now - timedelta(minutes=5)))
    elsewhere(lambda: alarm(assets[2], key="k:3", severity=Severity.WARNING, now=now))
    expect(board.locator(".incident-card")).to_have_count(2)
    expect(board.locator(f"#incident-{second.pk}")).to_be_focused()


def test_both_sides_live_through_an_incident_and_the_clocks_follow(
    jia: Customer, alice: User, chen: User, visit: Visit
) -> None:
    customer = visit(alice, "/incidents/raise/", width=390, height=844)
    customer.fill("input[name=title]", "Orders cannot be paid")
    customer.check("input[name=severity][value='2']")
    customer.click("main button:has-text('Raise incident')")
    customer.wait_for_url("**/incidents/*/")
    response = customer.locator(".clock-face", has_text="Response")
    handling = customer.locator(".clock-face", has_text="Handling")
    expect(response.locator("[data-countdown-figure]")).to_contain_text("14:")

    engineer = visit(chen, "/board/")
    engineer.click(".ic-title")
    engineer.click("button:has-text('Acknowledge')")
    expect(response).to_contain_text("in time")

    engineer.click("a:has-text('Ask the customer')")
    engineer.fill("#press-dialog textarea", "Which order?")
    engineer.click("#press-dialog button:has-text('Ask and wait')")
    expect(engineer.locator("#press-dialog")).to_be_hidden()
    expect(customer.locator("#timeline")).to_contain_text("Which order?")
    expect(handling).to_contain_text("stands still")
    reply = customer.locator(".clock-face", has_text="Customer's reply")
    expect(reply.locator("[data-countdown-figure]")).to_contain_text("14:")

    customer.fill("#id_body", "Order 7")
    customer.click("button:has-text('Send')")
    expect(engineer.locator("#timeline")).to_contain_text("Order 7")
    expect(engineer.locator(".clock-face", has_text="Handling")).to_contain_text("since")
    expect(engineer.locator(".clock-face", has_text="Customer's reply")).to_contain_text("in time")

    engineer.click("a:has-text('Resolve')")
    engineer.click("#press-dialog button:has-text('Resolve')")
    expect(engineer.locator("#press-dialog .is-invalid").first).to_be_visible()
    engineer.fill("#press-dialog textarea", "Restarted the gateway")
    engineer.select_option("#press-dialog select", "system")
    engineer.click("#press-dialog button:has-text('Resolve')")
    expect(customer.locator("#incident-live")).to_contain_text("Restarted the gateway")

    customer.click("a:has-text('Confirm and close')")
    customer.check("#press-dialog input[name=score][value='5']")
    customer.click("#press-dialog button:has-text('Confirm and close')")
    expect(engineer.locator("#incident-live")).to_contain_text("Closed")
    expect(engineer.locator("#incident-live .stars")).to_contain_text("★★★★★")
    expect(engineer.locator(".clock-face", has_text="Handling")).to_contain_text("done")


def test_what_is_being_written_is_not_lost_when_the_page_refreshes(
    jia: Customer, alice: User, chen: User, visit: Visit
) -> None:
    incident = elsewhere(lambda: raise_incident(alice, customer=jia, now=timezone.now()))
    page = visit(alice, f"/incidents/{incident.pk}/")
    page.fill("#id_body", "Half a sentence")
    elsewhere(lambda: _acknowledge(incident, chen))
    expect(page.locator("#timeline")).to_contain_text("Chen")
    expect(page.locator("#id_body")).to_have_value("Half a sentence")
    expect(page.locator("#id_body")).to_be_focused()


PATHS = ["/board/", "/board/?view=columns", "/incidents/", "/incidents/{pk}/", "/incidents/raise/"]


@pytest.mark.parametrize("path", PATHS)
def test_pages_fit_a_phone_and_run_no_foreign_script(
    jia: Customer, alice: User, chen: User, visit: Visit, path: str
) -> None:
    title = "<img src=x onerror=alert(1)>" + "很长" * 60
    incident = elsewhere(lambda: raise_incident(alice, customer=jia, title=title, now=timezone.now()))
    page = visit(chen, path.format(pk=incident.pk), width=390, height=844)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
