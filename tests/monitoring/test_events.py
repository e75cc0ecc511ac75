"""Events: written once, with an alert where they are severe; the list, its filters and its export."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.translation import gettext

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from monitoring.models import Alert, Event
from monitoring.services import events
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.django_db


@pytest.fixture
def asset(jia: Customer) -> Iterator[Asset]:
    with scope.customer(jia):
        yield Asset.objects.create(customer=jia, kind="server", name="app-1", created_at=NOW, changed_at=NOW)


def record(asset: Asset, key: str = "k", **more: object) -> Event | None:
    fields: dict[str, object] = {
        "customer": asset.customer,
        "asset": asset,
        "key": key,
        "source": "cloud",
        "kind": "instance-failover",
        "title_zh": "主备切换",
        "title_en": "Failover",
        "occurred_at": NOW,
        "now": NOW,
    }
    return events.record(**(fields | more))  # type: ignore[arg-type]  # a test's shorthand


def test_the_same_event_is_written_once(asset: Asset) -> None:
    assert record(asset) is not None
    assert record(asset, title_en="Told otherwise") is None
    assert Event.objects.get().title_en == "Failover"


def test_two_customers_may_have_events_of_the_same_key(asset: Asset, yi: Customer) -> None:
    record(asset)
    with scope.customer(yi):
        theirs = Asset.objects.create(customer=yi, kind="server", name="app-1", created_at=NOW, changed_at=NOW)
        assert record(theirs) is not None


def test_with_a_severity_it_is_an_alert_until_it_is_closed(asset: Asset) -> None:
    event = record(asset, severity=Severity.HIGH)
    assert event is not None
    alert = Alert.objects.get()
    assert (alert.rule_id, alert.severity, alert.is_open) == ("cloud-event", Severity.HIGH, True)
    assert alert.incident_id is not None
    events.close(event=event, at=NOW + timedelta(minutes=5), now=NOW + timedelta(minutes=5))
    alert.refresh_from_db()
    event.refresh_from_db()
    assert not alert.is_open
    assert event.ends_at == NOW + timedelta(minutes=5)


def test_without_a_severity_it_alarms_nobody(asset: Asset) -> None:
    record(asset)
    assert not Alert.objects.exists()


def test_upcoming_is_what_is_planned_and_not_called_off(asset: Asset) -> None:
    ahead = record(asset, "a", source="maintenance", occurred_at=NOW + timedelta(days=2))
    record(asset, "b", source="maintenance", occurred_at=NOW - timedelta(hours=1))
    record(asset, "c", source="maintenance", occurred_at=NOW - timedelta(days=2))
    record(asset, "d", source="cloud", occurred_at=NOW + timedelta(days=2))
    off = record(asset, "e", source="maintenance", occurred_at=NOW + timedelta(days=3))
    assert ahead is not None
    assert off is not None
    events.close(event=off, at=NOW, now=NOW, cancelled=True)
    assert list(Event.objects.upcoming(NOW).values_list("key", flat=True)) == ["b", "a"]


def test_the_list_is_filtered_searched_and_exported(
    asset: Asset, client_for: ClientFor, alice: User, eve: User
) -> None:
    now = timezone.now()
    record(asset, "a", occurred_at=now, severity=Severity.HIGH)
    record(asset, "b", source="host", kind="hostname", title_zh="主机名变更", title_en="Hostname", occurred_at=now)
    record(
        asset,
        "c",
        source="maintenance",
        title_zh="将要重启",
        title_en="Restart ahead",
        occurred_at=now + timedelta(days=1),
    )
    page = client_for(alice).get("/monitoring/events/").content.decode()
    assert all(word in page for word in ("主备切换", "主机名变更", "将要重启", gettext("Planned maintenance")))
    hosts = client_for(alice).get("/monitoring/events/?source=host", headers={"HX-Target": "events"}).content.decode()
    assert "主机名变更" in hosts
    assert "主备切换" not in hosts
    assert "<html" not in hosts
    assert "主备切换" in client_for(alice).get("/monitoring/events/?severity=2&span=1").content.decode()
    assert "主机名变更" not in client_for(alice).get("/monitoring/events/?severity=2").content.decode()
    table = client_for(alice).get("/monitoring/events/?export=csv").content.decode()
    assert "主备切换" in table
    assert "主备切换" not in client_for(eve).get("/monitoring/events/").content.decode()


def test_an_assets_page_shows_its_events_and_no_strangers(
    asset: Asset, client_for: ClientFor, alice: User, eve: User
) -> None:
    record(asset, occurred_at=timezone.now() - timedelta(minutes=1))
    assert "主备切换" in client_for(alice).get(f"/monitoring/events/for-asset/{asset.pk}/").content.decode()
    assert client_for(eve).get(f"/monitoring/events/for-asset/{asset.pk}/").status_code == 404
