"""Incidents found by words, by names and by number."""

import pytest

from accounts import scope, tables
from accounts.models import Customer, User
from incidents.models import Incident
from incidents.searching import holding
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident


def found(person: User, query: str) -> list[str]:
    with scope.user(person):
        return list(holding(Incident.objects.order_by("pk"), query).values_list("title", flat=True))


@pytest.fixture
def three(jia: Customer, yi: Customer, alice: User, eve: User) -> list[Incident]:
    return [
        raise_incident(alice, customer=jia, title="订单 Nginx 502"),
        alarm(make_asset(jia, "Gateway-01"), title="磁盘 100% full"),
        raise_incident(eve, customer=yi, title="Nginx of yi"),
    ]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("nginx", ["订单 Nginx 502", "Nginx of yi"]),
        ("NGINX 订单", ["订单 Nginx 502"]),
        ("SINCE ten", ["订单 Nginx 502", "Nginx of yi"]),
        ("gateway-01", ["磁盘 100% full"]),
        ("gateway-01 磁盘", ["磁盘 100% full"]),
        ("gateway-01 nginx", []),
        ("100%", ["磁盘 100% full"]),
        ("1_0%", []),
        ("\x00", ["订单 Nginx 502", "磁盘 100% full", "Nginx of yi"]),
        ("502", ["订单 Nginx 502"]),
        ("INC-999999999999999999", []),
    ],
)
def test_every_word_must_be_somewhere(three: list[Incident], chen: User, query: str, titles: list[str]) -> None:
    assert found(chen, query) == titles


def test_the_name_of_a_customer_finds_all_of_theirs(three: list[Incident], jia: Customer, chen: User) -> None:
    assert found(chen, jia.name) == [each.title for each in three[:2]]


def test_a_number_is_that_incident_and_no_other(three: list[Incident], alice: User, chen: User) -> None:
    first, second, theirs = three
    with scope.platform("test"):
        second.description = f"like {first.number}"
        second.save()
    assert found(chen, first.number.lower()) == [first.title]
    assert found(chen, str(theirs.pk)) == [theirs.title]
    assert found(chen, f"{first.number} gateway") == []


def test_nobody_finds_what_is_another_customers(three: list[Incident], alice: User, eve: User) -> None:
    first, second, theirs = three
    assert found(alice, "nginx") == [first.title]
    assert found(alice, theirs.number) == []
    assert found(eve, "gateway") == []
    assert found(eve, str(second.pk)) == []


def test_a_changed_title_is_found_by_its_new_words(three: list[Incident], chen: User) -> None:
    with scope.platform("test"):
        three[0].title = "HAProxy"
        three[0].save(update_fields=["title"])
    assert found(chen, "haproxy") == ["HAProxy"]
    assert found(chen, "订单") == []


def test_a_search_that_finds_very_many_counts_no_further(
    jia: Customer, alice: User, chen: User, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FOUND", 3)
    for number in range(5):
        raise_incident(alice, customer=jia, title=f"Port {number}")
    page = client_for(chen).get("/incidents/?q=port&sort=number").context["page"]
    assert (page.total_text, [row.title for row in page.rows]) == ("3+", ["Port 0", "Port 1", "Port 2"])
    assert client_for(chen).get("/incidents/?q=port&export=csv").content.decode().count("Port") == 5
