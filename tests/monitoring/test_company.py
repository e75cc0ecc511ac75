"""Batches of several customers share a transaction, and nothing else."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from incidents import services as incident_services
from incidents.models import Incident
from monitoring import pipeline, registry, storage
from monitoring.collectors import Batch
from monitoring.models import Alert, Ledger, RuleState, Series
from monitoring.services import alerts as alert_services
from monitoring.services import storms
from tests.monitoring.forks import status_of
from tests.monitoring.samples import START, Sample, alerts, batch, minute, server

CPU, MEMORY = "host.cpu.util", "host.mem.util"


@pytest.fixture
def ours(jia: Customer) -> Asset:
    return server(jia, "jia-web")


@pytest.fixture
def theirs(yi: Customer) -> Asset:
    return server(yi, "yi-web")


def points(asset: Asset, *values: float, start: int = 0, metric: str = CPU) -> list[Sample]:
    return [(asset, metric, {}, minute(start + at), value) for at, value in enumerate(values)]


def of(asset: Asset, *values: float, start: int = 0, metric: str = CPU) -> Batch:
    return batch(asset.customer, points(asset, *values, start=start, metric=metric))


def take(*batches: Batch, now: int = 60) -> list[pipeline.IngestResult]:
    results = pipeline.ingest_many(batches, now=minute(now))
    assert all(isinstance(each, pipeline.IngestResult) for each in results)
    return [each for each in results if isinstance(each, pipeline.IngestResult)]


def stored(asset: Asset, metric: str = CPU) -> list[float]:
    with scope.customer(asset.customer_id):
        series = Series.objects.get(asset=asset, metric=metric)
        found = storage.read(asset_id=asset.pk, series_ids=[series.pk], start=START, end=minute(600))
        return [float(value) for value in found[series.pk].value]


def ledgers() -> dict[int, int]:
    with scope.platform("look"):
        return dict(Ledger.objects.values_list("customer_id", "batches"))


def test_each_customer_gets_its_samples_its_counts_and_its_alerts(ours: Asset, theirs: Asset) -> None:
    first = take(of(ours, 95, 95), of(theirs, 95, 10, 10))
    assert [(each.stored, each.opened) for each in first] == [(2, 0), (3, 0)]
    second = take(of(ours, 95, start=2), of(theirs, 10, start=3))
    assert [(each.stored, each.opened) for each in second] == [(1, 1), (1, 0)]
    assert (stored(ours), stored(theirs)) == ([95, 95, 95], [95, 10, 10, 10])
    (alert,) = alerts(ours.customer)
    assert (alert.asset_id, alert.customer_id, alerts(theirs.customer)) == (ours.pk, ours.customer_id, [])


def test_they_share_one_transaction(ours: Asset, theirs: Asset) -> None:
    take(of(ours, 10), of(theirs, 10))
    with CaptureQueriesContext(connection) as together:
        take(of(ours, 10, start=1), of(theirs, 10, start=1))
    with CaptureQueriesContext(connection) as alone:
        take(of(ours, 10, start=2))
    assert len(together) <= len(alone) + 2  # the scopes of the two while their series are looked up


def test_the_order_of_series_of_customers_does_not_matter(ours: Asset, theirs: Asset) -> None:
    take(of(ours, 10))
    take(of(theirs, 10))
    take(of(ours, 95, metric=MEMORY), of(theirs, 95, metric=MEMORY))  # series of the two alternate from here on
    result = take(of(ours, 95, 95, start=1, metric=MEMORY), of(theirs, 10, 10, start=1, metric=MEMORY))
    assert [each.opened for each in result] == [1, 0]
    assert {alert.rule_id for alert in alerts(ours.customer)} == {"host-mem-util"}


def test_together_and_alone_give_the_same_states_whoever_remembers_them(ours: Asset, theirs: Asset) -> None:
    take(of(ours, 95), of(theirs, 95))
    take(of(ours, 95, start=1))
    registry.forget(theirs.customer_id)
    result = take(of(theirs, 95, start=1), of(ours, 95, start=2))
    assert [each.opened for each in result] == [0, 1]
    registry.forget()
    assert [each.opened for each in take(of(ours, 95, start=3), of(theirs, 95, start=2))] == [0, 1]
    assert [each.closed for each in take(of(theirs, 5, 5, 5, start=3), of(ours, 5, 5, 5, start=4))] == [1, 1]
    with scope.platform("look"):
        assert not RuleState.objects.exists()


def test_what_comes_again_is_repeated_for_each(ours: Asset, theirs: Asset) -> None:
    take(of(ours, 1, 2), of(theirs, 3))
    again = take(of(ours, 1, 2), of(theirs, 3, 4))
    assert [(each.stored, each.repeated) for each in again] == [(0, 2), (1, 1)]


def test_another_customers_asset_is_refused_in_company_too(ours: Asset, theirs: Asset, jia: Customer) -> None:
    stranger = batch(jia, [*points(ours, 10.0), *points(theirs, 95, 95, 95)])
    result = take(stranger, of(theirs, 10))
    assert [(each.stored, each.refused) for each in result] == [(1, 3), (1, 0)]
    assert stored(theirs) == [10]


def test_one_that_fails_costs_no_other_its_samples(ours: Asset, theirs: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = alert_services.apply

    def apply(**said: object) -> None:
        if said["customer_id"] == ours.customer_id:
            raise OperationalError("this customer's alerts cannot be written")
        genuine(**said)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(alert_services, "apply", apply)
    failed, fine = pipeline.ingest_many([of(ours, 95, 95, 95), of(theirs, 95, 95, 95)], now=minute(60))
    assert isinstance(failed, DatabaseError)
    assert isinstance(fine, pipeline.IngestResult)
    assert (fine.stored, fine.opened, len(alerts(theirs.customer)), alerts(ours.customer)) == (3, 1, 1, [])
    monkeypatch.undo()
    assert take(of(ours, 95, 95, 95))[0].opened == 1


def test_many_alerts_of_several_customers_are_a_storm_although_each_has_few(
    ours: Asset, theirs: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storms, "AT_ONCE", 1)
    assert [each.opened for each in take(of(ours, 95, 95, 95), of(theirs, 95, 95, 95))] == [1, 1]
    with scope.platform("look"):
        assert list(Alert.objects.values_list("incident", flat=True)) == [None, None]
    for customer in (ours.customer, theirs.customer):
        with scope.customer(customer):
            assert storms.tell_waiting(customer=customer, now=minute(60)) == 1
            assert Incident.objects.count() == 1


def test_a_customer_that_comes_twice_is_taken_in_twice(ours: Asset, theirs: Asset) -> None:
    result = take(of(ours, 95, 95), of(theirs, 10), of(ours, 95, start=2))
    assert [(each.stored, each.opened) for each in result] == [(2, 0), (1, 0), (1, 1)]


def test_large_batches_have_their_own_transactions(ours: Asset, theirs: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SAMPLES_TOGETHER", 3)
    assert [each.stored for each in take(of(ours, 1, 2, 3, 4), of(theirs, 1), of(ours, 5, start=9))] == [4, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_among_several_customers_leaves_nothing_half_done(jia: Customer, yi: Customer) -> None:
    ours, theirs = server(jia), server(yi)
    take(of(ours, 95, 95), of(theirs, 95, 95))
    before = ledgers()

    def work() -> None:
        genuine, calls = incident_services.open_from_alerts, []

        def open_from_alerts(**said: object) -> object:
            calls.append(1)
            if len(calls) == 2:  # the first customer's alert and incident are written, not committed
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine(**said)  # type: ignore[arg-type]  # passed on as they came

        setattr(incident_services, "open_from_alerts", open_from_alerts)  # noqa: B010 - this process is about to end
        take(of(ours, 95, start=2), of(theirs, 95, start=2))

    assert os.WTERMSIG(status_of(work)) == signal.SIGKILL
    assert (stored(ours), stored(theirs), ledgers()) == ([95, 95], [95, 95], before)
    assert alerts(jia) == alerts(yi) == []
    assert [each.opened for each in take(of(ours, 95, start=2), of(theirs, 95, start=2))] == [1, 1]


@pytest.mark.django_db(transaction=True)
def test_companies_in_any_order_do_not_wait_for_each_other(jia: Customer, yi: Customer) -> None:
    ours, theirs = server(jia), server(yi)
    take(of(ours, 1), of(theirs, 1))

    def work(number: int) -> int:
        try:
            done = 0
            for at in range(1, 9):
                pair = [of(ours, at, start=at), of(theirs, at, start=at)]
                done += sum(each.stored for each in take(*(pair if number % 2 else reversed(pair))))
            return done
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(work, range(4))) == 16
    assert (stored(ours), stored(theirs)) == ([1, *range(1, 9)], [1, *range(1, 9)])
