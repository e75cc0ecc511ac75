"""The pages of the service desk on a phone: nothing is wider than the screen, whatever long words stand in it."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from accounts import scope
from accounts.models import Customer, User
from incidents.models import (
    Announcement,
    Article,
    Attachment,
    CannedReply,
    Fault,
    FollowUp,
    InboundMessage,
    InboundSource,
    Incident,
    IncidentAlert,
)
from tests.portal import Visit, elsewhere
from tests.specimens import Marks, Specimens

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

PK = 770_001  # of every specimen
WIDTH, HEIGHT = 390, 844
UNBROKEN = "prod-cn-shanghai-order-service-" * 3  # as hosts and packages are called: nowhere to break a line
BOTH = (
    "/requests/", "/requests/raise/", f"/incidents/{PK}/", "/sla/{customer}/", "/sla/{customer}/clocks/",
    "/knowledge/", "/faults/", f"/faults/{PK}/", "/follow-ups/", f"/follow-ups/{PK}/",
    "/follow-ups/new/", "/violations/", f"/violations/{PK}/", "/causes/", f"/causes/{PK}/", "/attestations/",
    f"/attestations/{PK}/", "/notify/policies/{customer}/", "/notify/channels/", "/notify/inbox/",
    "/notify/preferences/", "/notify/devices/", "/ways-in/chat/",
)  # fmt: skip
PROVIDERS = (
    "/sla/", "/roster/", "/roster/new/", "/roster/rotations/", "/roster/rotations/new/", "/roster/swaps/",
    "/roster/notices/", f"/roster/notices/{PK}/", "/roster/calendar/", "/knowledge/new/", f"/knowledge/{PK}/",
    "/announcements/", f"/announcements/{PK}/", "/announcements/new/", "/ways-in/", "/ways-in/new/", f"/ways-in/{PK}/",
    f"/ways-in/{PK}/edit/", "/ways-in/received/", f"/ways-in/received/{PK}/", "/ways-in/unknown/", "/escalation/",
    "/escalation/high/", "/escalation/high/edit/", "/customers/{customer}/escalation/high/", "/notify/policies/",
    "/notify/policies/{customer}/high/", "/notify/deliveries/", "/service-desk/", "/incidents/replies/",
)  # fmt: skip


@pytest.fixture
def filled(jia: Customer, alice: User) -> None:
    """One of everything for jia, whose titles and names have no place to break."""

    def fill() -> None:
        Specimens(jia, alice, Marks("px7q"), PK).plant()
        with scope.platform("test"):
            for titled in (Incident, IncidentAlert, Fault, FollowUp, Announcement, Article):
                titled.objects.update(title=UNBROKEN)
            Announcement.objects.update(customer=None)  # they are written by the provider
            for named in (InboundSource, CannedReply, Attachment):
                named.objects.update(name=UNBROKEN[:80])
            InboundMessage.objects.update(subject=UNBROKEN, sender=f"{UNBROKEN}@example.com")

    elsewhere(fill)


def too_wide(page: Page, paths: Sequence[str], customer: Customer) -> dict[str, object]:
    """The pages that are wider than the screen, each with what sticks out of it; or that are none."""
    found: dict[str, object] = {}
    host = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
    for path in paths:
        answer = page.goto(host + path.format(customer=customer.pk))
        assert answer is not None
        page.evaluate("document.fonts.ready")
        page.wait_for_timeout(150)  # for what is loaded into the page
        if answer.status != 200:
            found[path] = answer.status
        elif page.evaluate("document.documentElement.scrollWidth") != WIDTH:
            found[path] = page.evaluate(
                """() => [...document.querySelectorAll("main *, header *")]
                    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
                    .slice(0, 4).map((element) => `${element.tagName}.${element.className}`)"""
            )
    return found


@pytest.mark.usefixtures("filled")
def test_what_a_customer_reads_fits_a_phone(jia: Customer, alice: User, visit: Visit) -> None:
    page = visit(alice, "/", width=WIDTH, height=HEIGHT)
    assert too_wide(page, (*BOTH, f"/announcements/received/{PK}/"), jia) == {}


@pytest.mark.usefixtures("filled")
def test_what_the_provider_works_with_fits_a_phone(jia: Customer, lin: User, visit: Visit) -> None:
    page = visit(lin, "/", width=WIDTH, height=HEIGHT)
    assert too_wide(page, (*BOTH, *PROVIDERS), jia) == {}
