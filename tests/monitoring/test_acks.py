"""Acknowledging alerts: with their incidents, with a comment, and until when."""

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from incidents.models import Incident, IncidentState, TimelineEntry
from monitoring import tasks
from monitoring.models import Alert
from monitoring.services import acks
from tests.monitoring.samples import alerts, feed, minute, server
from timers.models import Timer


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def alert(jia: Customer, web: Asset) -> Alert:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    return alerts(jia)[0]


def take(alert: Alert, actor: User, *, at: float = 5, until: float | None = None, comment: str = "") -> None:
    with scope.customer(alert.customer_id):
        acks.acknowledge(
            alerts=[alert], actor=actor, now=minute(at), comment=comment, until=None if until is None else minute(until)
        )


def run_out(alert: Alert, at: float) -> None:
    with scope.customer(alert.customer_id):
        tasks.ack_runs_out.run(alert.pk, due_at=minute(at), now=minute(at))


def reminders(alert: Alert) -> int:
    with scope.customer(alert.customer_id):
        return TimelineEntry.objects.filter(data__again=True).count()


def test_an_alert_and_its_incident_are_taken_in_hand_together(jia: Customer, alert: Alert, chen: User) -> None:
    take(alert, chen, comment=" on  it ")
    (taken,) = alerts(jia)
    with scope.customer(jia):
        assert (taken.acknowledged_at, taken.acknowledged_by, taken.ack_comment) == (minute(5), chen, "on it")
        incident = Incident.objects.get()
        assert (incident.state, incident.acknowledged_at) == (IncidentState.ACKNOWLEDGED, minute(5))


def test_ran_out_and_still_firing_it_is_told_again_once(jia: Customer, alert: Alert, chen: User) -> None:
    take(alert, chen, until=30)
    with scope.platform("look"):
        assert Timer.objects.pending().get(task="monitoring.ack_runs_out").due_at == minute(30)
    run_out(alert, 30)
    run_out(alert, 31)
    (left,) = alerts(jia)
    assert (left.is_acknowledged, left.acknowledged_at, reminders(alert)) == (False, minute(5), 1)


def test_a_longer_acknowledgement_replaces_the_shorter(jia: Customer, alert: Alert, chen: User) -> None:
    take(alert, chen, until=30)
    take(alert, chen, at=6, until=60)
    run_out(alert, 30)
    assert (alerts(jia)[0].is_acknowledged, reminders(alert)) == (True, 0)


def test_without_an_end_nothing_runs_out(jia: Customer, alert: Alert, chen: User) -> None:
    take(alert, chen, until=30)
    take(alert, chen, at=6)
    with scope.platform("look"):
        assert not Timer.objects.pending().filter(task="monitoring.ack_runs_out").exists()
    run_out(alert, 30)
    assert alerts(jia)[0].is_acknowledged


def test_what_recovered_before_is_not_told_again(jia: Customer, web: Asset, alert: Alert, chen: User) -> None:
    take(alert, chen, until=30)
    feed(jia, web, "host.cpu.util", [10, 10, 10], start=6)
    run_out(alert, 30)
    assert reminders(alert) == 0


def test_an_ended_alert_cannot_be_taken(jia: Customer, web: Asset, alert: Alert, chen: User) -> None:
    feed(jia, web, "host.cpu.util", [10, 10, 10], start=6)
    with scope.customer(jia):
        assert acks.acknowledge(alerts=[alert], actor=chen, now=minute(10)) == []
    assert alerts(jia)[0].acknowledged_at is None


def test_an_acknowledgement_can_be_taken_back(jia: Customer, alert: Alert, chen: User) -> None:
    take(alert, chen, until=30)
    with scope.customer(jia):
        acks.withdraw(alert=alert, actor=chen, now=minute(6))
    assert not alerts(jia)[0].is_acknowledged
    with scope.platform("look"):
        actions = AuditEntry.objects.filter(customer=jia, action__startswith="alert.").order_by("sequence")
        assert [entry.action for entry in actions] == ["alert.acknowledge", "alert.withdraw"]


@pytest.mark.parametrize("until", [5, 1, 31 * 24 * 60])
def test_the_end_lies_ahead_and_not_too_far(alert: Alert, chen: User, until: float) -> None:
    with pytest.raises(DomainError):
        take(alert, chen, until=until)


def test_a_customers_own_people_do_not_acknowledge(alert: Alert, alice: User) -> None:
    with pytest.raises(PermissionDenied):
        take(alert, alice)
