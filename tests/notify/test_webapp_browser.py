"""The installed web app in a real browser: a push is shown and opened, and without a network there is a page."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import expect

from accounts.models import User
from tests.portal import Visit, browser, portal, visit  # noqa: F401 - fixtures

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_a_push_is_shown_by_the_service_worker(alice: User, portal: str, visit: Visit) -> None:  # noqa: F811 - fixtures
    page = visit(alice, "/notify/devices/")
    page.context.grant_permissions(["notifications"], origin=portal)
    session = page.context.new_cdp_session(page)
    found: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(entry["registrationId"] for entry in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_timeout(500)
    message = {
        "title": "[灾难] 订单无法支付",
        "body": "INC-000007",
        "url": f"{portal}/incidents/7/",
        "tag": "incident:7",
    }
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": portal, "registrationId": found[-1], "data": json.dumps(message)},
    )
    page.wait_for_timeout(500)
    shown = page.evaluate(
        "navigator.serviceWorker.ready.then((worker) => worker.getNotifications())"
        ".then((list) => list.map((one) => [one.title, one.body, one.tag, one.data.url]))"
    )
    assert shown == [["[灾难] 订单无法支付", "INC-000007", "incident:7", f"{portal}/incidents/7/"]]


def test_without_a_network_the_emergency_number_is_there(alice: User, portal: str, visit: Visit) -> None:  # noqa: F811
    page = visit(alice, "/notify/devices/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    page.goto(f"{portal}/incidents/")
    expect(page.locator("a[href^='tel:']").first).to_be_visible()
    page.context.set_offline(False)


def test_it_can_be_installed(portal: str) -> None:  # noqa: F811
    with urllib.request.urlopen(f"{portal}/manifest.webmanifest", timeout=20) as answer:
        manifest = json.loads(answer.read())
    assert (manifest["display"], manifest["scope"]) == ("standalone", "/")
    for icon in manifest["icons"]:
        with urllib.request.urlopen(f"{portal}{icon['src']}", timeout=20) as answer:
            assert answer.headers["Content-Type"] == "image/png"
