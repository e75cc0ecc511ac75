"""Notices before something ends: told once per rung, to groups and engineers, alerts from a week before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils.translation import gettext

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from assets.models import Asset, CloudAccount, Subscription
from incidents.models import Incident
from monitoring.models import Alert, Event, Target
from monitoring.services import expiry, probe_events
from notify.models import Delivery
from tests.conftest import ClientFor
from tests.monitoring.samples import START, feed

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)  # eleven in the morning in Shanghai


@pytest.fixture
def account(jia: Customer) -> Iterator[CloudAccount]:
    with scope.customer(jia):
        yield CloudAccount.objects.create(
            customer=jia, name="Main", account_uid="1", access_key_id="LTAI", created_at=NOW - timedelta(days=99)
        )


def resource(account: CloudAccount, name: str, days: float | None, **more: object) -> Asset:
    fields: dict[str, object] = {
        "customer": account.customer,
        "cloud_account": account,
        "kind": "ecs",
        "provider_id": f"i-{name}",
        "name": name,
        "expires_at": None if days is None else NOW + timedelta(days=days),
        "created_at": NOW - timedelta(days=99),
        "changed_at": NOW,
    }
    return Asset.objects.create(**(fields | more))


def paid(account: CloudAccount, name: str, days: float, renewal: str, asset: Asset | None = None) -> Subscription:
    return Subscription.objects.create(
        customer=account.customer,
        cloud_account=account,
        asset=asset,
        product="domain",
        instance_id=name,
        ends_at=NOW + timedelta(days=days),
        renewal=renewal,
        seen_at=NOW,
    )


def sweep(account: CloudAccount, days: float = 0) -> list[tuple[str, int]]:
    told = expiry.sweep(customer=account.customer, now=NOW + timedelta(days=days))
    return [(one.ending.name, one.notice.rung) for one in told]


def test_each_rung_is_told_once_to_groups_and_engineers(account: CloudAccount, chen: User) -> None:
    resource(account, "web-1", 30)
    assert sweep(account) == [("web-1", 30)]
    assert sweep(account) == []
    assert sweep(account, 15) == [("web-1", 15)]
    with scope.platform("test"):
        told = list(Delivery.objects.filter(user=chen, key__startswith="expiry:").order_by("pk"))
    assert len(told) == 2
    assert "web-1" in told[0].text
    assert not Alert.objects.exists(), "a month ahead is a message, not an alarm"


def test_from_a_week_before_it_is_an_alert_and_one_incident_that_grows_worse(account: CloudAccount) -> None:
    resource(account, "web-1", 7)
    sweep(account)
    alert = Alert.objects.open().get(rule_id="expiry")
    assert alert.severity == Severity.WARNING
    sweep(account, 4)
    assert Alert.objects.open().get(rule_id="expiry").severity == Severity.AVERAGE
    sweep(account, 6)
    assert Alert.objects.open().get(rule_id="expiry").severity == Severity.HIGH
    assert Incident.objects.count() == 1


def test_renewed_the_alert_is_over_and_the_ladder_begins_anew(account: CloudAccount) -> None:
    web = resource(account, "web-1", 7)
    sweep(account)
    web.expires_at = NOW + timedelta(days=7 + 365)
    web.save()
    assert sweep(account, 1) == []
    assert Alert.objects.get(rule_id="expiry").ending == Alert.Ending.RECOVERED
    assert sweep(account, 365 - 23) == [("web-1", 30)]


def test_what_became_pay_as_you_go_or_is_gone_is_no_longer_an_alert(account: CloudAccount) -> None:
    first, second = resource(account, "web-1", 7), resource(account, "web-2", 7)
    sweep(account)
    Asset.objects.filter(pk=first.pk).update(expires_at=None)
    Asset.objects.filter(pk=second.pk).update(retired_at=NOW)
    sweep(account, 1)
    assert not Alert.objects.open().exists()


def test_pay_as_you_go_is_not_listed(account: CloudAccount) -> None:
    resource(account, "web-1", None)
    assert expiry.listed() == []


def test_what_renews_itself_is_told_and_alarms_nobody(account: CloudAccount, chen: User) -> None:
    web = resource(account, "web-1", 3)
    paid(account, "i-web-1", 3, Subscription.Renewal.AUTO, web)
    assert sweep(account) == [("web-1", 3)]
    assert not Alert.objects.exists()
    with scope.platform("test"):
        assert gettext("is renewed automatically") in Delivery.objects.get(user=chen).text


def test_a_subscription_that_is_no_asset_is_told_of_too(account: CloudAccount) -> None:
    paid(account, "jiahe.example", 15, Subscription.Renewal.MANUAL)
    assert sweep(account) == [("jiahe.example", 15)]
    paid(account, "new.example", 12, Subscription.Renewal.MANUAL)
    sweep(account)
    assert Event.objects.get(title_en__contains="new.example").detail["late"] is False, "nobody knew of it before"
    gone = paid(account, "released", 15, Subscription.Renewal.MANUAL)
    Subscription.objects.filter(pk=gone.pk).update(gone_at=NOW)
    assert sweep(account) == []


def test_the_later_of_two_sources_counts(account: CloudAccount) -> None:
    """Billing knows of a renewal before the product's own list does, or the other way round."""
    web = resource(account, "web-1", 7)
    paid(account, "i-web-1", 372, Subscription.Renewal.MANUAL, web)
    assert sweep(account) == []


def test_after_an_outage_over_two_rungs_one_honest_notice(account: CloudAccount, chen: User) -> None:
    resource(account, "web-1", 31)
    assert sweep(account, 1) == [("web-1", 30)]
    assert sweep(account, 26) == [("web-1", 7)]
    event = Event.objects.get(kind="expiry-7")
    assert event.detail["late"] is True
    assert event.detail["days_left"] == 5
    assert "5" in event.title_en
    with scope.platform("test"):
        text = Delivery.objects.filter(user=chen).order_by("-pk")[0].text
    assert event.detail["due_on"] in text


def test_the_end_itself_is_told_once(account: CloudAccount) -> None:
    resource(account, "web-1", 1)
    sweep(account)
    assert sweep(account, 1.1) == [("web-1", 0)]
    assert sweep(account, 2) == []
    assert Event.objects.get(kind="expired").title_en == "ECS web-1 has expired"
    assert Alert.objects.open().get().severity == Severity.HIGH


def test_many_at_once_are_one_message(account: CloudAccount, chen: User) -> None:
    for number in range(40):
        resource(account, f"web-{number:02}", 15)
    assert len(sweep(account)) == 40
    with scope.platform("test"):
        told = Delivery.objects.filter(user=chen)
        assert told.count() == 1
        assert told.get().text.count("\n") == 30


def test_a_customers_own_ladder_is_kept_to(account: CloudAccount, chen: User, alice: User) -> None:
    resource(account, "web-1", 60)
    expiry.set_ladder(customer=account.customer, rungs=[60, 5], hour=14, actor=chen, now=NOW)
    assert sweep(account) == [], "not before two in the afternoon"
    assert sweep(account, 4 / 24) == [("web-1", 60)]
    with pytest.raises(DomainError):
        expiry.set_ladder(customer=account.customer, rungs=[], hour=9, actor=chen, now=NOW)
    with pytest.raises(DomainError):
        expiry.set_ladder(customer=account.customer, rungs=[5], hour=9, actor=alice, now=NOW)


def test_another_customers_ends_are_not_told(account: CloudAccount, yi: Customer) -> None:
    resource(account, "web-1", 7)
    with scope.customer(yi):
        assert expiry.sweep(customer=yi, now=NOW) == []


def test_the_page_lists_what_ends_sorted_and_customers_may_look(
    account: CloudAccount, client_for: ClientFor, alice: User, eve: User, chen: User
) -> None:
    now = datetime.now(UTC)
    for name, days in (("later", 20), ("sooner", 3), ("over", -1)):
        resource(account, name, None, expires_at=now + timedelta(days=days))
    text = client_for(alice).get("/monitoring/expiry/").content.decode()
    assert text.index("over") < text.index("sooner") < text.index("later")
    assert "sooner" not in client_for(eve).get("/monitoring/expiry/").content.decode()
    narrowed = client_for(alice).get("/monitoring/expiry/?within=7").content.decode()
    assert "sooner" in narrowed
    assert "later" not in narrowed
    table = client_for(alice).get("/monitoring/expiry/?export=csv")
    assert table["Content-Type"].startswith("text/csv")
    assert table.content.decode().count("\n") >= 4
    assert client_for(alice).get(f"/monitoring/expiry/ladder/{account.customer_id}/").status_code == 403
    page = client_for(chen).post(f"/monitoring/expiry/ladder/{account.customer_id}/", {"rungs": "45，7, 1", "hour": 8})
    assert page.status_code == 302
    assert list(expiry.wish_of(account.customer).rungs) == [45, 7, 1]
    refused = client_for(chen).post(f"/monitoring/expiry/ladder/{account.customer_id}/", {"rungs": "x", "hour": 8})
    assert refused.status_code == 200


def test_what_a_check_tells_of_is_not_told_again_by_the_ladder(account: CloudAccount, chen: User) -> None:
    site = resource(account, "shop", None, kind="url", cloud_account=None)
    fields = {"customer": account.customer, "asset": site, "next_due_at": NOW, "created_at": NOW, "changed_at": NOW}
    tls = Target.objects.create(kind="tls", name="shop", key="tls", config={"host": "shop.example"}, **fields)
    feed(account.customer, site, "probe.tls.days_left", [5.0], now=START)
    ending = probe_events.Ending(tls, "tls-expiry", 5.0, NOW + timedelta(days=5))
    assert probe_events.climb(ending, probe_events.RUNGS, now=NOW)
    assert not probe_events.climb(ending, probe_events.RUNGS, now=NOW + timedelta(hours=6))
    assert sweep(account) == []
    assert sweep(account, 1) == []
    assert Event.objects.filter(source=Event.Source.EXPIRY).count() == 1
    assert Alert.objects.open().count() == 1


def test_a_domain_that_a_check_watches_is_told_by_it_alone(account: CloudAccount) -> None:
    paid(account, "Shop.example", 5, "manual")
    paid(account, "other.example", 5, "manual")
    site = resource(account, "shop", None, kind="url", cloud_account=None)
    watch = Target.objects.create(
        customer=account.customer, asset=site, kind="domain", name="shop", key="domain", next_due_at=NOW,
        config={"domain": "shop.example"}, created_at=NOW, changed_at=NOW,
    )  # fmt: skip
    assert sweep(account) == [("other.example", 7)]
    Target.objects.filter(pk=watch.pk).update(is_enabled=False)
    assert sweep(account) == [("Shop.example", 7)]
