"""Dashboards in a real browser: arranged by keyboard and mouse, kept, shared with a stranger, shown on a screen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import Dashboard
from monitoring.services import dashboards
from monitoring.widgets import Widget, WidgetKind
from tests.monitoring.samples import START, feed, server
from tests.portal import Visit, elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def web(jia: Customer) -> Asset:
    asset = server(jia)
    feed(jia, asset, "host.cpu.util", [41, 42, 43])
    return asset


@pytest.fixture
def board(jia: Customer, alice: User, web: Asset) -> Dashboard:
    now = timezone.now()
    with scope.customer(jia):
        made = dashboards.create(customer=jia, name="Shop", actor=alice, now=now)
        value = Widget("new0", WidgetKind.VALUE, 0, 0, 1, 1, assets=(web.pk,), metric="host.cpu.util")
        return dashboards.add_widget(dashboard=made, widget=value, actor=alice, now=now)


def places(board: Dashboard) -> dict[str, tuple[int, int, int, int]]:
    def read() -> dict[str, tuple[int, int, int, int]]:
        with scope.customer(board.customer_id):
            found = Dashboard.objects.get(pk=board.pk)
            return {one.kind.value: (one.x, one.y, one.w, one.h) for one in found.parsed}

    return elsewhere(read)


def test_boxes_are_arranged_by_keyboard_and_mouse_and_stay_so(board: Dashboard, alice: User, visit: Visit) -> None:
    page = visit(alice, f"/monitoring/dashboards/{board.pk}/")
    expect(page.locator(".box-value")).to_contain_text("43 %")
    before = places(board)
    page.get_by_role("button", name="Arrange", exact=True).click()
    alerts = page.locator(".grid-stack-item", has=page.locator(".box-alerts"))
    alerts.get_by_role("button", name="Taller").focus()
    page.keyboard.press("Enter")
    page.locator(".grid-stack-item", has=page.locator(".box-value")).get_by_role("button", name="Remove").click()
    handle = page.locator(".box-health .box-head").bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + 60, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] + 60, handle["y"] + 700, steps=12)
    page.mouse.up()
    page.get_by_role("button", name="Save arrangement").click()
    expect(page.get_by_role("button", name="Arrange", exact=True)).to_be_visible()
    after = places(board)
    assert "value" not in after
    assert after["alerts"][3] == before["alerts"][3] + 1
    assert after["health"][1] > before["health"][1]
    page.reload()
    assert places(board) == after


def test_a_stranger_with_the_link_sees_the_figures_and_no_way_further(
    board: Dashboard, alice: User, visit: Visit, browser: Browser, portal: str
) -> None:
    page = visit(alice, f"/monitoring/dashboards/{board.pk}/links/")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("input[readonly]").input_value()
    asked: list[str] = []
    stranger = browser.new_context().new_page()
    stranger.on("request", lambda request: asked.append(request.url))
    stranger.goto(link)
    expect(stranger.locator(".box-value")).to_contain_text("43 %")
    assert "#" not in stranger.url
    secret = link.split("#")[1]
    assert not [url for url in asked if secret in url.split("#")[0]]
    assert stranger.goto(f"{portal}/monitoring/wall/")
    expect(stranger).to_have_url(f"{portal}/accounts/login/?next=/monitoring/wall/")


def test_the_screen_shows_one_slide_after_the_other(board: Dashboard, alice: User, visit: Visit) -> None:
    page = visit(alice, f"/monitoring/tv/?show=wall&show=dashboard-{board.pk}&every=10")
    expect(page.locator(".tv-title")).to_have_text("All assets")
    expect(page.locator(".wall-tile")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tv-title")).to_have_text("Shop")
    expect(page.locator(".box-value")).to_contain_text("43 %")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tv-title")).to_have_text("All assets")


def test_the_wall_changes_by_itself(jia: Customer, web: Asset, alice: User, visit: Visit) -> None:
    page = visit(alice, "/monitoring/wall/")
    expect(page.locator(".wall-tile.cond-unwatched")).to_have_count(1)
    start = timezone.now() - timedelta(minutes=5)

    def burn() -> None:
        minutes = (start.timestamp() - START.timestamp()) / 60
        feed(jia, web, "host.mem.util", [99] * 5, start=minutes)

    elsewhere(burn)
    expect(page.locator(".wall-tile.cond-average, .wall-tile.cond-high, .wall-tile.cond-warning")).to_have_count(1)


def test_the_customers_first_page_counts_a_new_alert_by_itself(
    jia: Customer, web: Asset, alice: User, visit: Visit
) -> None:
    page = visit(alice, "/")
    tile = page.locator("#home-live a[href='/monitoring/alerts/'] .h2")
    expect(tile).to_have_text("0")
    minutes = (timezone.now().timestamp() - START.timestamp()) / 60 - 5
    elsewhere(lambda: feed(jia, web, "host.mem.util", [99] * 5, start=minutes))
    expect(tile).to_have_text("1")
