"""The board and the incident's page in headless Chromium, over the real ASGI server, database and Redis."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Incident
from rdmp.embedded.ports import free_port
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
T = TypeVar("T")
Visit = Callable[..., Page]


def elsewhere(act: Callable[[], T]) -> T:
    """Run something of Django in a thread of its own: the browser's event loop occupies this one."""

    def run() -> T:
        with closing(connection):
            return act()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    """The portal as a process of its own, on the test's database."""
    port = free_port()
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {**os.environ, "DATABASE_URL": urlunsplit(database)}
    command = [sys.executable, "-m", "uvicorn", "rdmp.asgi:application", "--port", str(port), "--lifespan", "off"]
    server = subprocess.Popen([*command, "--log-level", "warning"], cwd=settings.BASE_DIR, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/accounts/login/", timeout=10)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the portal did not start")


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(site: str, browser: Browser, client_for: ClientFor) -> Iterator[Visit]:
    """A page of a signed-in person that listens to the live channel; fails when a page complains."""
    complaints: list[str] = []

    def visited(person: User, path: str, *, width: int = 1440, height: int = 900) -> Page:
        key = elsewhere(lambda: client_for(person).cookies[settings.SESSION_COOKIE_NAME].value)
        context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
        context.add_cookies(
            [
                {"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site},
                {"name": "django_language", "value": "en", "url": site},
            ]
        )
        page = context.new_page()
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        page.goto(f"{site}{path}")
        expect(page.locator("html[data-live=on]")).to_have_count(1)
        return page

    yield visited
    assert complaints == []


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
    response, handling = customer.locator(".clock-face").nth(0), customer.locator(".clock-face").nth(1)
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

    customer.fill("#id_body", "Order 7")
    customer.click("button:has-text('Send')")
    expect(engineer.locator("#timeline")).to_contain_text("Order 7")
    expect(engineer.locator(".clock-face").nth(1)).to_contain_text("since")

    engineer.click("a:has-text('Resolve')")
    engineer.click("#press-dialog button:has-text('Resolve')")
    expect(engineer.locator("#press-dialog .is-invalid").first).to_be_visible()
    engineer.fill("#press-dialog textarea", "Restarted the gateway")
    engineer.select_option("#press-dialog select", "system")
    engineer.click("#press-dialog button:has-text('Resolve')")
    expect(customer.locator("#incident-live")).to_contain_text("Restarted the gateway")

    customer.click("a:has-text('Confirm and close')")
    customer.click("#press-dialog button:has-text('Confirm and close')")
    expect(engineer.locator("#incident-live")).to_contain_text("Closed")


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
