"""A month whose report cannot be made is an incident of the provider's own, once, until it is over (R109)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts import scope
from accounts.models import Contract, Customer, User
from incidents.models import Incident, IncidentKind
from incidents.months import Month
from reports import tasks
from reports.kinds.asking import Asked, PartOf
from reports.models import MonthTrouble, ReportKind, ServiceFigures, ServiceReport
from reports.services import leases, month_troubles, service_reports, sweeping, writing
from tests.conftest import ClientFor
from tests.reports.test_service import FIRST, MONTH, opened, read

MINUTE = timedelta(minutes=1)
LATER = FIRST + month_troubles.PATIENCE


@pytest.fixture(autouse=True)
def _served_all_month(jia: Customer, yi: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")


@contextmanager
def broken(customer: Customer, reason: str = "no such luck") -> Iterator[None]:
    """This customer's months cannot be opened."""
    opens = service_reports.open_by_plan

    def breaks(**said: Any) -> Any:
        if said["customer"].pk == customer.pk:
            raise AttributeError(reason)
        return opens(**said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_reports, "open_by_plan", breaks)
        yield


def sweep(now: datetime) -> None:
    sweeping.open_months(now=now)
    sweeping.look_after_months(now=now)


def internal() -> list[Incident]:
    with scope.platform("test"):
        return list(Incident.objects.filter(kind=IncidentKind.INTERNAL).select_related("customer").order_by("pk"))


def test_a_month_that_stays_shut_becomes_one_incident_with_its_reason_and_ends_when_it_opens(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    with broken(jia):
        sweep(FIRST)
        sweep(LATER - MINUTE)
        assert internal() == []
        sweep(LATER)
        sweep(LATER + MINUTE)
        [found] = internal()
    assert (found.customer_id, found.severity, found.state) == (jia.pk, 2, "open")
    assert found.detected_at == FIRST
    assert "2026-03" in found.title
    assert "AttributeError: no such luck" in found.description
    assert client_for(alice).get(f"/incidents/{found.pk}/").status_code == 404
    assert client_for(chen).get(f"/incidents/{found.pk}/").status_code == 200

    sweep(LATER + 2 * MINUTE)
    assert internal()[0].state == "open", "a report without figures is none yet"
    read(next(one for one in opened(now=LATER) if one.customer_id == jia.pk), now=LATER)
    sweep(LATER + 3 * MINUTE)
    [found] = internal()
    assert found.state == "closed"
    assert found.resolution
    with scope.platform("test"):
        assert MonthTrouble.objects.get().over_at == LATER + 3 * MINUTE


def test_what_fails_for_a_moment_is_no_incident(jia: Customer) -> None:
    with broken(jia):
        sweep(FIRST)
    sweep(LATER)
    read(opened(now=LATER)[0], now=LATER)
    sweep(LATER + MINUTE)
    assert internal() == []
    with scope.platform("test"):
        assert MonthTrouble.objects.get().over_at is not None


def test_the_other_customers_hear_nothing_and_have_their_months(jia: Customer, yi: Customer) -> None:
    with broken(jia):
        sweep(FIRST)
        sweep(LATER)
    assert [one.customer_id for one in internal()] == [jia.pk]
    with scope.platform("test"):
        assert [one.customer_id for one in ServiceReport.objects.all()] == [yi.pk]


def test_figures_that_were_given_up_are_an_incident_until_they_are_read(
    jia: Customer, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_asked: Asked) -> Any:
        raise ValueError("a month of rubbish")

    report = next(one for one in opened() if one.customer_id == jia.pk)
    with monkeypatch.context() as patch, scope.platform("test"):
        patch.setattr(service_reports, "KINDS", {ReportKind.MONTHLY: [PartOf("overview", "Overview", breaks)]})
        reading = ServiceFigures.objects.get(report=report)
        for number in range(leases.MOST_TRIES):
            assert internal() == []
            assert not service_reports.read_figures(reading_id=reading.pk, clock=lambda: FIRST)
            sweep(FIRST + number * MINUTE)
    sweep(FIRST + 9 * MINUTE)
    [found] = internal()
    assert "ValueError: a month of rubbish" in found.description
    with scope.user(chen):
        service_reports.read_again(report=report, actor=chen, now=FIRST + 10 * MINUTE)
    sweep(FIRST + 11 * MINUTE)
    assert internal()[0].state == "open"
    read(report, now=FIRST + 12 * MINUTE)
    sweep(FIRST + 13 * MINUTE)
    assert internal()[0].state == "closed"


def test_figures_that_cannot_be_read_again_are_no_incident(
    jia: Customer, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked sees it on the page; the report has its figures."""
    report = read(next(one for one in opened() if one.customer_id == jia.pk))
    with scope.user(chen):
        service_reports.read_again(report=report, actor=chen, now=FIRST)
    with scope.platform("test"):
        ServiceFigures.objects.filter(report=report).update(state="failed", error="x")
    sweep(LATER)
    assert internal() == []


@pytest.mark.parametrize("how", ["plan", "withdrawn", "contract"])
def test_a_trouble_ends_when_nothing_is_owed_any_more(jia: Customer, lin: User, how: str) -> None:
    with broken(jia):
        sweep(FIRST)
        sweep(LATER)
    with scope.customer(jia):
        if how == "plan":
            plan = service_reports.plan_of(jia)
            plan.is_on, plan.changed_at = False, LATER
            plan.save()
        elif how == "contract":
            Contract.objects.filter(customer=jia).update(starts_on="2026-04-01")
    if how == "withdrawn":
        report = next(one for one in opened(now=LATER) if one.customer_id == jia.pk)
        with scope.user(lin):
            writing.withdraw(report=report, reason="Paused", actor=lin, now=LATER)
    sweep(LATER + MINUTE)
    [found] = internal()
    assert found.state == "closed"


def test_a_month_that_was_never_made_stays_an_incident_in_the_months_after(jia: Customer, chen: User) -> None:
    may = Month(2026, 4).ends_at + timedelta(hours=3)
    with broken(jia):
        sweep(FIRST)
        sweep(LATER)
        sweep(may)
        sweep(may + month_troubles.PATIENCE)
    first, second = internal()
    assert (str(MONTH) in first.title, "2026-04" in second.title) == (True, True)
    assert first.state == "open"


def test_who_closed_it_is_not_asked_again(jia: Customer, chen: User) -> None:
    with broken(jia):
        sweep(FIRST)
        sweep(LATER)
        with scope.platform("test"):
            Incident.objects.filter(kind=IncidentKind.INTERNAL).update(state="closed", closed_at=LATER)
        sweep(LATER + timedelta(days=1))
        assert len(internal()) == 1
    read(next(one for one in opened(now=LATER) if one.customer_id == jia.pk), now=LATER)
    sweep(LATER + timedelta(days=2))
    with scope.platform("test"):
        assert MonthTrouble.objects.get().over_at is not None


def test_the_rhythm_looks_after_months(jia: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sweeping, "look_after_months", lambda **_: asked.append("months"))
    tasks.sweep()
    assert asked == ["months"]


def test_a_customers_people_reach_no_trouble(jia: Customer, alice: User) -> None:
    with broken(jia):
        sweep(FIRST)
    with scope.user(alice):
        assert not MonthTrouble.objects.exists()
