"""The pages of monitoring on a phone: nothing sticks out, however long the names are."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import Alert, Event, Silence, Target
from tests.portal import Visit
from tests.specimens import Marks, Specimens
from tests.walk import JIAS

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

WIDTH = 390
HOST = "mall-production-payment-gateway-0001.cn-hangzhou-h.internal.example.com"
"""A name that no browser may break."""
TEXT = "很长" * 60 + f" {HOST}"
OFFENDERS = """() => [...document.querySelectorAll("main *")].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width || box.right <= innerWidth + 1) return false;
  const cuts = (up) => ["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(up).overflowX);
  for (let up = one.parentElement; up && up !== document.body; up = up.parentElement) if (cuts(up)) return false;
  return true;
}).slice(0, 3).map((one) => `${one.tagName}.${one.className}: ${Math.round(one.getBoundingClientRect().right)}`)"""
PAGES = (
    "alerts/",
    f"alerts/{JIAS}/",
    f"alerts/{JIAS}/why/",
    "targets/",
    f"targets/{JIAS}/",
    f"targets/{JIAS}/edit/",
    f"targets/new/{JIAS}/",
    f"targets/new/{JIAS}/http/",
    f"targets/new/{JIAS}/product/mysql/",
    "rules/",
    "rules/ecs-cpu-util/?customer={customer}",
    "silences/",
    "silences/new/?customer={customer}",
    f"silences/{JIAS}/",
    "events/",
    "expiry/",
    "expiry/ladder/{customer}/",
    "sites/",
    f"sites/{JIAS}/",
    "wall/",
    "wall/{customer}/",
    "templates/",
    f"templates/{JIAS}/",
    "groups/?customer={customer}",
    "macros/?customer={customer}",
    "schedules/?customer={customer}",
    "own-rules/",
    "own-rules/new/{customer}/",
    "outlook/",
    "history/",
    "dashboards/",
    f"dashboards/{JIAS}/",
    f"of-asset/{JIAS}/rules/",
    f"of-asset/{JIAS}/processes/",
)


@pytest.fixture
def planted(jia: Customer, alice: User) -> Customer:
    """One of everything, with names as long as they come."""
    Specimens(jia, alice, Marks("ph0n"), JIAS).plant()
    now = timezone.now()
    with scope.customer(jia):
        Asset.objects.update(name=HOST, host=HOST, expires_at=now)
        Alert.objects.update(title=TEXT[:300], text=TEXT, opened_at=now)
        Silence.objects.update(reason=TEXT[:300])
        Event.objects.update(title_zh=TEXT[:300], title_en=TEXT[:300], occurred_at=now)
        Target.objects.update(
            name=HOST,
            config={"url": f"https://{HOST}/{'a' * 80}?q=1"},
            problem_code="unauthorised",
            problem_detail=f"HTTP 401 https://{HOST}/{'b' * 80}",
            problem_since=now,
        )
    return jia


def sticks_out(page: Page) -> list[str]:
    """How wide the page is where it is wider than the screen, and what makes it so."""
    width = page.evaluate("document.documentElement.scrollWidth")
    return [] if width == WIDTH else [f"{width} px", *page.evaluate(OFFENDERS)]


def test_no_page_is_wider_than_a_phone(planted: Customer, chen: User, visit: Visit) -> None:
    page = visit(chen, "/monitoring/alerts/", width=WIDTH, height=844)
    origin = page.url.removesuffix("/monitoring/alerts/")
    found: dict[str, list[str]] = {}
    for each in PAGES:
        path = each.format(customer=planted.pk)
        answer = page.goto(f"{origin}/monitoring/{path}")
        assert answer is not None
        page.wait_for_timeout(150)
        problems = [] if answer.status == 200 else [f"HTTP {answer.status}"]
        if str(JIAS) in path and HOST not in page.content():
            problems.append("the thing with the long name is not there")
        if problems := problems or sticks_out(page):
            found[path] = problems
    assert found == {}


def test_a_long_title_has_the_whole_line_and_a_short_one_shares_it_with_its_buttons(
    planted: Customer, chen: User, visit: Visit
) -> None:
    page = visit(chen, f"/monitoring/alerts/{JIAS}/", width=WIDTH, height=844)
    title, button = page.locator(".page-title").bounding_box(), page.locator(".page-header .btn").first.bounding_box()
    assert title is not None
    assert button is not None
    assert title["width"] > WIDTH * 0.85
    assert button["y"] >= title["y"] + title["height"]
    page.goto(page.url.replace(f"alerts/{JIAS}/", "silences/"))
    title, button = page.locator(".page-title").bounding_box(), page.locator(".page-header .btn").first.bounding_box()
    assert title is not None
    assert button is not None
    assert button["y"] < title["y"] + title["height"]
