"""Every link that a page offers leads somewhere that this person may open, in their language."""

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Contact, Customer, RosterShift, User
from accounts.services import calendars, people
from incidents.models import Incident
from monitoring.services import targets
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident

pytestmark = pytest.mark.django_db
NAMED = re.compile(r"/(rules|catalogue)/[^/]+/")
"""Many pages of one kind that are told apart by a name."""
NUMBERS = re.compile(r"\d+")
LEAVES = ("/accounts/logout/", "/api/", "/static/", "/incidents/raise/assets/")
WORDS = re.compile(r"\b[A-Za-z]{2,}(?: [a-z']{2,}){2,}")
"""Three English words in a row: nothing that a Chinese page says."""
ENOUGH = 130
WRITTEN_SO = ("Since ten o'clock", "/assets/import/")
"""What the incident below says, and the page that names the columns of a file in both languages."""


PROGRAMS = ("script", "style", "pre")
"""What stands in them is written for a machine."""


class Reader(HTMLParser):
    """The links and the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in PROGRAMS:
            self.hidden += 1
        for name in ("href", "hx-get", "data-href"):
            if tag != "link" and (value := found.get(name)):
                self.links.append(value)
        self.texts += [
            text for name in ("title", "placeholder", "aria-label", "data-confirm") if (text := found.get(name))
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag in PROGRAMS:
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.texts.append(data)


@pytest.fixture(autouse=True)
def _a_life(jia: Customer, alice: User, chen: User, lin: User) -> None:
    """Something of everything, so that pages have something to link to."""
    raised = raise_incident(alice, customer=jia, title="支付失败")
    asset = make_asset(jia)
    alarm(asset, title="端口 443 没有正常运行")
    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=NOW)
        targets.create(asset=asset, kind="tcp", config={"host": "203.0.113.7", "port": 443}, actor=lin, now=NOW)
        Contact.objects.create(customer=jia, kind="primary", user=alice, phone="13800000000", email=alice.email)
        RosterShift.objects.create(duty="first", user=chen, starts_at=NOW, ends_at=timezone.now())
        people.invite(
            email="new@example.com", name="", role="customer_member", customer=jia, actor=alice, now=timezone.now()
        )
        assert Incident.objects.get(pk=raised.pk).is_unsolved


def walk(browser: Client, person: User) -> tuple[set[str], list[str], list[str]]:
    """Follow every link from the first page; returns the kinds of pages seen, dead links, and stray English."""
    seen: set[str] = set()
    dead: list[str] = []
    english: list[str] = []
    waiting = [("/", "/"), ("/profile/", "/")]
    while waiting and len(seen) < ENOUGH:
        address, source = waiting.pop(0)
        kind = NUMBERS.sub("N", NAMED.sub(r"/\1/R/", urlsplit(address).path))
        if kind in seen or not address.startswith("/") or address.startswith(LEAVES):
            continue
        seen.add(kind)
        answer = browser.get(address)
        if answer.status_code in (301, 302):
            waiting.append((answer.headers["Location"], source))
        elif answer.status_code != 200:
            dead.append(f"{source} → {address}: {answer.status_code}")
        elif answer.headers["Content-Type"].startswith("text/html"):
            page = Reader()
            page.feed(answer.content.decode())
            waiting += [(link, address) for link in page.links]
            found = [f"{address}: {words}" for text in page.texts for words in WORDS.findall(text)]
            english += [each for each in found if not any(known in each for known in WRITTEN_SO)]
    return seen, dead, english


@pytest.mark.parametrize("who", ["alice", "bob", "vera", "chen", "lin", "root"])
def test_every_link_leads_somewhere(client_for: ClientFor, request: pytest.FixtureRequest, who: str) -> None:
    person = request.getfixturevalue(who)
    seen, dead, _english = walk(client_for(person), person)
    assert dead == []
    assert {"/incidents/N/", "/assets/N/", "/customers/N/"} <= seen


@pytest.mark.parametrize("who", ["alice", "lin"])
def test_no_page_falls_back_into_english(client_for: ClientFor, request: pytest.FixtureRequest, who: str) -> None:
    """Needs the compiled catalogue, which set-up makes."""
    person = request.getfixturevalue(who)
    _seen, _dead, english = walk(client_for(person), person)
    assert english == []
