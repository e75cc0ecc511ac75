"""The form of a receiver in a real browser: what its kind needs, and nothing else."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.portal import Visit, browser, portal, visit  # noqa: F401 - fixtures

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_a_receiver_is_asked_for_what_its_kind_needs(alice: User, visit: Visit) -> None:  # noqa: F811 - fixtures
    page = visit(alice, "/notify/siem/new/")
    for kind, shown in (
        ("syslog_tls", ["host", "port", "authority"]),
        ("webhook", ["url"]),
        ("syslog", ["host", "port"]),
    ):
        page.select_option("[name=kind]", kind)
        assert visible(page) == shown
    page.fill("[name=name]", "SIEM")
    page.fill("[name=port]", "70000")
    page.select_option("[name=kind]", "webhook")
    page.locator("form:has([name=kind]) [type=submit]").click()
    expect(page.locator("[name=port]")).to_be_visible()  # an error shows, whatever the kind
    assert visible(page) == ["port", "url"]


def visible(page: Page) -> list[str]:
    return [name for name in ("host", "port", "authority", "url") if page.locator(f"[name={name}]").is_visible()]
