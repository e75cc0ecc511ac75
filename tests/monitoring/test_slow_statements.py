"""Slow statements on their way from a server to the sums of a day: together with the target's row, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from monitoring.collectors import Job, Outcome, Statement, errand
from monitoring.collectors.config import Kind
from monitoring.models import SlowStatement, Target
from monitoring.services import claims, packer, settling, statements, targets
from tests.conftest import NOW
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db
SLOW = Statement("shop", "d1", "SELECT ?", 2, 6.0, 4.0, 10)
MIDNIGHT = datetime(2026, 3, 2, 16, tzinfo=NOW.tzinfo)


@pytest.fixture
def target(jia: Customer) -> Target:
    config = {"product": "mysql", "host": "10.1.2.3", "port": 3306, "user": "rdmp"}
    asset = server(jia)
    with scope.customer(jia):
        return targets.create(asset=asset, kind=Kind.PRODUCT, config=config, actor=None, now=NOW, token="t")


def told(target: Target, *said: Statement, at: datetime = NOW, lease: datetime | None = None) -> None:
    outcome = Outcome(target.pk, state={}, statements=said)
    with scope.customer(target.customer_id):
        Target.objects.filter(pk=target.pk).update(lease_until=lease or at + claims.LEASE)
        settling.settle([target], [outcome], lease=at + claims.LEASE, now=at)


def kept(target: Target) -> list[tuple[Any, ...]]:
    with scope.customer(target.customer_id):
        rows = SlowStatement.objects.filter(asset=target.asset).order_by("day", "database", "digest")
        return list(rows.values_list("day", "digest", "count", "total_s", "longest_s", "rows_examined"))


def test_a_days_looks_are_summed_up(target: Target) -> None:
    told(target, SLOW)
    told(target, SLOW, replace(SLOW, digest="d2"), at=NOW + timedelta(minutes=1))
    told(target, replace(SLOW, count=1, total_s=9.0, longest_s=9.0), at=NOW + timedelta(minutes=2))
    today = timezone.localdate(NOW)
    assert kept(target) == [(today, "d1", 5, 21.0, 9.0, 30), (today, "d2", 2, 6.0, 4.0, 10)]


def test_days_are_those_of_the_platform(target: Target) -> None:
    told(target, SLOW, at=MIDNIGHT - timedelta(seconds=1))
    told(target, SLOW, at=MIDNIGHT)
    assert [row[0].isoformat() for row in kept(target)] == ["2026-03-02", "2026-03-03"]


def test_a_worker_that_was_too_slow_adds_nothing(target: Target) -> None:
    told(target, SLOW, lease=NOW + timedelta(days=1))
    assert kept(target) == []


def test_a_server_with_ever_new_statements_fills_no_disk(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MOST_A_DAY", 2)
    told(target, SLOW, replace(SLOW, digest="d2"), replace(SLOW, digest="d3"))
    told(target, replace(SLOW, digest="d4"), SLOW)
    assert [(row[1], row[2]) for row in kept(target)] == [("d1", 4), ("d2", 2)]


def test_what_is_no_text_for_the_database_is_left_out(target: Target) -> None:
    told(target, replace(SLOW, text="SELECT\x00 ?"))
    with scope.customer(target.customer_id):
        assert SlowStatement.objects.get().text == "SELECT ?"


def test_they_go_with_what_is_past_keeping(target: Target, yi: Customer) -> None:
    told(target, SLOW)
    packer.forget(now=NOW + timedelta(days=30))
    assert len(kept(target)) == 1
    packer.forget(now=NOW + timedelta(days=4000))
    assert kept(target) == []


def test_another_customer_sees_none(target: Target, yi: Customer) -> None:
    told(target, SLOW)
    with scope.customer(yi):
        assert not SlowStatement.objects.exists()


def test_a_node_sends_them_as_they_are(target: Target) -> None:
    job: Job[Any] = Job(target.pk, target.customer_id, 1, None)
    body = errand.joined([errand.encode(errand.result_of(Outcome(target.pk, statements=[SLOW]), 1.0))])
    [result] = errand.decode(body)
    assert errand.outcome_of(result, job).statements == [SLOW]


@pytest.mark.parametrize("broken", [("s" * 65, "d", "t", 1, 1.0, 1.0, 1), ("s", "d", "t", -1, 1.0, 1.0, 1)])
def test_a_node_that_makes_things_up_is_refused(broken: tuple[Any, ...]) -> None:
    result = errand.encode(errand.Result(1, 1.0, statements=[broken]))
    with pytest.raises(ValueError, match="Expected"):
        errand.decode(errand.joined([result]))
