"""Two at once: real threads with real connections against the real database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest
from django.db import connection, transaction

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Clock, Incident, IncidentAlert, TimelineEntry
from tests.conftest import NOW
from tests.incidents.conftest import alarm, make_asset, raise_incident
from timers import services as timers

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)
Outcome = object | Exception


def at_once(customer: Customer, *acts: Callable[[], object]) -> list[Outcome]:
    """Run all acts at the same moment, each in a thread with its own connection; what they returned or raised."""
    start = Barrier(len(acts))

    def run(act: Callable[[], object]) -> Outcome:
        try:
            with scope.customer(customer):
                connection.ensure_connection()
                start.wait(timeout=20)
                return act()
        except Exception as problem:  # noqa: BLE001 - handed to the test, which judges it
            return problem
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_two_engineers_acknowledge_and_one_has_it(jia: Customer, alice: User, chen: User, lin: User) -> None:
    incident = raise_incident(alice, customer=jia)
    outcomes = at_once(
        jia,
        lambda: services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE),
        lambda: services.acknowledge(incident=incident, actor=lin, now=NOW + MINUTE),
    )
    refused = [each for each in outcomes if isinstance(each, DomainError)]
    taken = [each for each in outcomes if isinstance(each, Incident)]
    assert (len(refused), len(taken)) == (1, 1)
    with scope.customer(jia):
        incident.refresh_from_db()
        assert incident.acknowledged_by is not None
        assert incident.acknowledged_by.name in refused[0].message
        assert TimelineEntry.objects.filter(kind="acknowledged").count() == 1
        assert list(audit.verify(jia.pk)) == []


def test_twelve_alarms_of_one_asset_at_once_are_one_incident(jia: Customer, web: Asset) -> None:
    outcomes = at_once(jia, *(partial(alarm, web, key=f"a:{n}") for n in range(12)))
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    with scope.customer(jia):
        assert Incident.objects.count() == 1
        assert IncidentAlert.objects.count() == 12
        assert Clock.objects.filter(kind="response").count() == 1


def test_the_same_alarm_told_eight_times_at_once_is_one_alert(jia: Customer, web: Asset) -> None:
    at_once(jia, *(lambda: alarm(web, key="a:1") for _ in range(8)))
    with scope.customer(jia):
        assert (Incident.objects.count(), IncidentAlert.objects.count()) == (1, 1)
        assert TimelineEntry.objects.filter(kind="alert").count() == 1


def test_acknowledging_and_the_timer_of_the_deadline_never_block_each_other(
    jia: Customer, alice: User, chen: User
) -> None:
    def fire() -> object:
        with scope.platform("test sweep"):
            return [timers.fire(timer_id=pk, now=NOW + 15 * MINUTE) for pk in timers.claim(now=NOW + 15 * MINUTE)]

    for _ in range(5):
        incident = raise_incident(alice, customer=jia)
        acknowledge = partial(services.acknowledge, incident=incident, actor=chen, now=NOW + MINUTE)
        outcomes = at_once(jia, fire, acknowledge)
        assert [each for each in outcomes if isinstance(each, Exception)] == []
        with scope.customer(jia):
            breached = Clock.objects.get(incident=incident, kind="response").is_breached
            recorded = TimelineEntry.objects.filter(incident=incident, kind="breach").count()
        assert recorded == int(breached)


def test_alarms_of_many_assets_and_engineers_at_work_do_not_block_each_other(
    jia: Customer, chen: User, lin: User
) -> None:
    assets = [make_asset(jia, f"web-{number}") for number in range(6)]
    incidents = [alarm(asset, severity=Severity.WARNING, key=f"first:{asset.pk}") for asset in assets]

    @transaction.atomic
    def storm() -> object:
        """One batch of the pipeline: one transaction."""
        return [alarm(asset, severity=Severity.HIGH, key=f"second:{asset.pk}", now=NOW + MINUTE) for asset in assets]

    @transaction.atomic
    def storm_backwards() -> object:
        return [
            alarm(asset, severity=Severity.DISASTER, key=f"third:{asset.pk}", now=NOW + MINUTE)
            for asset in reversed(assets)
        ]

    def work(person: User) -> object:
        for incident in incidents:
            services.comment(incident=incident, body="Looking", actor=person, now=NOW + MINUTE)
            services.assign(incident=incident, assignee=person, actor=person, now=NOW + MINUTE)
        return True

    outcomes = at_once(jia, storm, storm_backwards, lambda: work(chen), lambda: work(lin))
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    with scope.customer(jia):
        assert set(Incident.objects.values_list("severity", flat=True)) == {Severity.DISASTER}
        assert IncidentAlert.objects.count() == 18


def test_resolving_while_a_new_alarm_comes_in_loses_neither(jia: Customer, web: Asset, chen: User) -> None:
    incident = alarm(web, key="a:1")
    outcomes = at_once(
        jia,
        lambda: alarm(web, key="a:2", now=NOW + MINUTE),
        lambda: services.resolve(
            incident=incident, resolution="Restarted", cause="system", actor=chen, now=NOW + MINUTE
        ),
    )
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    with scope.customer(jia):
        incident.refresh_from_db()
        alert = IncidentAlert.objects.get(alert_key="a:2")
        assert incident.state == "resolved"
        assert alert.incident == incident or alert.incident.is_unsolved
