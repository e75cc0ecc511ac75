"""Disks that will be full, and hours that are unlike others: advice on pages, never an alert."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring import pipeline
from monitoring.models import Alert, Outlook, Series
from monitoring.services import outlooks
from tests.conftest import ClientFor
from tests.monitoring.samples import Sample, batch, server

LABELS = {"device": "vda1", "mountpoint": "/data"}


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def hourly(asset: Asset, metric: str, values: list[float], labels: dict[str, str]) -> None:
    """The last value is that of an hour ago."""
    end = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    points: list[Sample] = [
        (asset, metric, labels, end - timedelta(hours=len(values) - 1 - at), value) for at, value in enumerate(values)
    ]
    pipeline.ingest(batch(asset.customer, points), now=timezone.now())


@pytest.fixture
def filling(jia: Customer, web: Asset) -> Asset:
    """Half a percent a day less, from 17 down to 10: full in twenty days."""
    hourly(web, "host.fs.free_pct", [10 + 0.5 * (14 * 24 - at) / 24 for at in range(14 * 24)], LABELS)
    with scope.customer(jia):
        outlooks.refresh(customer=jia, now=timezone.now())
    return web


def test_a_disk_that_fills_is_foretold_and_no_alert_is_opened(jia: Customer, filling: Asset) -> None:
    with scope.customer(jia):
        outlook = Outlook.objects.get()
        assert outlook.days_left(timezone.now()) == pytest.approx(20, abs=0.5)
        assert outlook.confidence == Outlook.Confidence.HIGH
        assert not Alert.objects.exists()


def test_working_it_out_again_replaces_it_and_forgets_what_is_gone(jia: Customer, filling: Asset) -> None:
    with scope.customer(jia):
        assert outlooks.refresh(customer=jia, now=timezone.now()) == 1
        assert Outlook.objects.count() == 1
        Asset.objects.filter(pk=filling.pk).update(retired_at=timezone.now())
        outlooks.refresh(customer=jia, now=timezone.now())
        assert not Outlook.objects.exists()


def test_the_list_and_the_assets_page_say_so_to_everybody_of_the_customer(
    filling: Asset, vera: User, eve: User, client_for: ClientFor
) -> None:
    for person, sees in ((vera, True), (eve, False)):
        page = client_for(person).get("/monitoring/outlook/").content.decode()
        assert ("/data" in page) is sees
    address = f"/monitoring/outlook/of-asset/{filling.pk}/"
    assert "/data" in client_for(vera).get(address).content.decode()
    assert client_for(eve).get(address).status_code == 404


def test_a_flat_disk_is_not_listed(jia: Customer, web: Asset, vera: User, client_for: ClientFor) -> None:
    hourly(web, "host.fs.free_pct", [40.0] * 100, LABELS)
    with scope.customer(jia):
        outlooks.refresh(customer=jia, now=timezone.now())
    assert "/data" not in client_for(vera).get("/monitoring/outlook/").content.decode()


def test_the_band_of_what_is_usual_comes_with_the_hours_outside_it(
    web: Asset, vera: User, eve: User, client_for: ClientFor
) -> None:
    hourly(web, "host.cpu.util", [20.0 + at % 3 for at in range(24 * 28)] + [90.0], {})
    with scope.platform("look"):
        series = Series.objects.get(metric="host.cpu.util")
    now = timezone.now()
    span = f"?start={round((now - timedelta(hours=6)).timestamp() * 1000)}&end={round(now.timestamp() * 1000)}"
    found = client_for(vera).get(f"/monitoring/usual/{series.pk}.json{span}").json()
    assert len(found["ts"]) == len(found["low"]) == len(found["high"]) >= 6
    assert max(found["high"]) < 40
    assert len(found["unusual"]) == 1
    assert client_for(eve).get(f"/monitoring/usual/{series.pk}.json{span}").status_code == 404
    assert client_for(vera).get(f"/monitoring/usual/{series.pk}.json").status_code == 200  # the last day
    for wrong in ("?start=x&end=y", "?start=9&end=1", "?start=0&end=999999999999"):
        assert client_for(vera).get(f"/monitoring/usual/{series.pk}.json{wrong}").status_code == 404


def test_an_alert_says_what_is_usual_at_its_hour(jia: Customer, web: Asset, vera: User, client_for: ClientFor) -> None:
    metric, now = "host.load1_per_core", timezone.now()
    hourly(web, metric, [2.0] * 24 * 28, {})
    points: list[Sample] = [(web, metric, {}, now - timedelta(minutes=3 - at), 9.0) for at in range(3)]
    pipeline.ingest(batch(jia, points), now=now)
    with scope.customer(jia):
        alert = Alert.objects.get(rule_id="host-load-per-core")
    page = client_for(vera).get(f"/monitoring/alerts/{alert.pk}/").content.decode()
    assert "1.9" in page
    assert "2.1" in page


def graphed(browser: Client, asset: Asset, panel: str, query: str = "range=30d") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get(f"/monitoring/graphs/{asset.pk}/{panel}.json?{query}").json()["ahead"]
    return found


def test_the_graph_of_used_space_goes_on_to_the_day_on_which_it_is_full(
    filling: Asset, vera: User, client_for: ClientFor
) -> None:
    hourly(filling, "host.fs.used_pct", [89.0, 90.0], LABELS)
    with scope.platform("look"):
        User.objects.filter(pk=vera.pk).update(language="en")
        used, full_at = Series.objects.get(metric="host.fs.used_pct"), Outlook.objects.get().full_at
    assert full_at is not None
    [one] = graphed(client_for(vera), filling, "disk-space")
    assert (one["id"], one["limit"], one["level"]) == (used.pk, 100.0, pytest.approx(90, abs=0.1))
    assert one["to"] == round(full_at.timestamp() * 1000)
    assert one["text"].startswith("/data: expected to be full on ")
    assert one["range"] == "30d"  # a week shows no more than two weeks ahead


def test_graphs_of_other_things_of_the_past_and_of_a_flat_disk_go_on_to_nothing(
    filling: Asset, vera: User, client_for: ClientFor
) -> None:
    browser, now = client_for(vera), timezone.now()
    hourly(filling, "host.fs.used_pct", [90.0], LABELS)
    hourly(filling, "host.fs.used_pct", [50.0], {**LABELS, "mountpoint": "/"})
    hourly(filling, "host.mem.util", [90.0], {})
    then = [round((now - timedelta(days=days)).timestamp() * 1000) for days in (3, 2)]
    assert len(graphed(browser, filling, "disk-space")) == 1
    assert graphed(browser, filling, "disk-space", f"start={then[0]}&end={then[1]}") == []
    assert graphed(browser, filling, "memory") == []
