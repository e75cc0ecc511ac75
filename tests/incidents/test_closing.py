"""The end of an incident: confirmed with a score, or closed by itself after working days without an answer (T10)."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contract, Customer, User
from incidents import services
from incidents.models import Incident, IncidentKind, Satisfaction, TimelineEntry
from notify.models import Delivery
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from tests.incidents.test_deadlines import kinds, sweep
from timers.models import Timer

Kind = TimelineEntry.Kind
DAY = timedelta(days=1)
WEDNESDAY = datetime.fromisoformat("2026-02-11T15:00+08:00")
"""Before Spring Festival: Saturday the 14th is worked, then nobody works until the 24th."""
CLOSING = datetime.fromisoformat("2026-02-25T18:00+08:00")
"""The fifth working day after it: 12, 13, 14, 24, 25."""


def resolved(customer: Customer, actor: User, engineer: User, *, now: datetime = WEDNESDAY) -> Incident:
    incident = raise_incident(actor, customer=customer, now=now)
    with scope.customer(customer):
        return services.resolve(incident=incident, resolution="Done", cause="system", actor=engineer, now=now)


def state(incident: Incident) -> str:
    with scope.platform("test"):
        incident.refresh_from_db()
    return incident.state


def test_it_closes_at_the_end_of_the_fifth_working_day(jia: Customer, alice: User, chen: User) -> None:
    incident = resolved(jia, alice, chen)
    assert incident.closes_at == CLOSING
    sweep(CLOSING - timedelta(seconds=1))
    assert state(incident) == "resolved"
    sweep(CLOSING)
    assert state(incident) == "closed"
    assert (incident.closed_at, incident.closes_at is None) == (CLOSING, True)
    with scope.platform("test"):
        entry = incident.timeline.get(kind=Kind.CLOSED)
        assert (entry.actor, entry.data) == (None, {"unanswered": True})
        assert AuditEntry.objects.filter(action="incident.close", actor=None).count() == 1
    sweep(CLOSING + DAY)
    assert kinds(incident).count(Kind.CLOSED) == 1


def test_whoever_raised_it_is_reminded_on_the_morning_of_the_last_day(jia: Customer, alice: User, chen: User) -> None:
    resolved(jia, alice, chen)
    morning = datetime.fromisoformat("2026-02-25T09:00+08:00")
    sweep(morning - timedelta(seconds=1))
    with scope.platform("test"):
        assert not Delivery.objects.filter(key__contains=":closing:").exists()
    sweep(morning)
    with scope.platform("test"):
        assert {row.medium for row in Delivery.objects.filter(key__contains=":closing:", user=alice)} >= {"inbox"}


@pytest.mark.parametrize("days", [1, 3])
def test_the_contract_says_after_how_many_days(jia: Customer, alice: User, chen: User, days: int) -> None:
    with scope.platform("test"):
        Contract.objects.filter(customer=jia).update(closing_days=days)
    incident = resolved(jia, alice, chen)
    assert incident.closes_at == datetime.fromisoformat(f"2026-02-{11 + days}T18:00+08:00")


def test_a_contract_may_say_never_and_internal_ones_wait_for_their_people(
    jia: Customer, alice: User, chen: User
) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        services.reopen(incident=incident, reason="x", actor=chen, now=WEDNESDAY)
        Incident.objects.filter(pk=incident.pk).update(kind=IncidentKind.INTERNAL)
        again = services.resolve(incident=incident, resolution="x", cause="system", actor=chen, now=WEDNESDAY)
        assert again.closes_at is None
    with scope.platform("test"):
        Contract.objects.filter(customer=jia).update(closing_days=0)
    assert resolved(jia, alice, chen).closes_at is None
    with scope.platform("test"):
        assert not Timer.objects.pending().filter(key__startswith="closing:").exists()


def test_reopening_undoes_it_and_the_next_solution_counts_from_the_beginning(
    jia: Customer, alice: User, chen: User
) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        services.reopen(incident=incident, reason="Still down", actor=alice, now=WEDNESDAY + DAY)
    sweep(CLOSING)
    assert state(incident) == "open"
    with scope.customer(jia):
        incident = services.resolve(incident=incident, resolution="x", cause="system", actor=chen, now=CLOSING)
    assert incident.closes_at == datetime.fromisoformat("2026-03-03T18:00+08:00")  # Saturday the 28th is worked
    sweep(datetime.fromisoformat("2026-03-03T18:00+08:00"))
    assert state(incident) == "closed"
    with scope.customer(jia):
        assert services.reopen(incident=incident, reason="Again", actor=alice, now=CLOSING).closed_at is None


def test_a_wake_up_on_its_way_closes_nothing_that_was_confirmed(jia: Customer, alice: User, chen: User) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        services.confirm(incident=incident, actor=alice, now=WEDNESDAY + DAY, score=5, remark="Quick")
        assert not services.close_unanswered(incident_id=incident.pk, now=CLOSING)
        assert not services.remind_of_closing(incident_id=incident.pk, now=CLOSING - DAY)
    assert kinds(incident)[-2:] == [Kind.CLOSED, Kind.RATED]


def test_the_score_is_one_per_incident_and_may_be_changed_for_a_week(jia: Customer, alice: User, chen: User) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        services.confirm(incident=incident, actor=alice, now=WEDNESDAY, score=5, remark="Quick")
        services.rate(incident=incident, score=2, words="It came back", actor=alice, now=WEDNESDAY + 7 * DAY)
        given = Satisfaction.objects.get()
        assert (given.score, given.words, given.given_at, given.changed_at) == (
            2,
            "It came back",
            WEDNESDAY,
            WEDNESDAY + 7 * DAY,
        )
        rated = incident.timeline.filter(kind=Kind.RATED).order_by("pk")
        assert [entry.data for entry in rated] == [{"score": 5}, {"score": 2, "before": 5}]
        with pytest.raises(DomainError) as refusal:
            services.rate(incident=incident, score=4, actor=alice, now=WEDNESDAY + timedelta(days=7, seconds=1))
        assert refusal.value.code == "too_late"


@pytest.mark.parametrize("score", [0, 6, -1])
def test_a_score_is_one_to_five(jia: Customer, alice: User, chen: User, score: int) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia), pytest.raises(DomainError):
        services.confirm(incident=incident, actor=alice, now=WEDNESDAY, score=score)
    assert state(incident) == "resolved"


def test_only_a_writing_person_of_the_customer_rates_and_only_what_is_closed(
    jia: Customer, alice: User, chen: User, vera: User
) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        with pytest.raises(DomainError):
            services.rate(incident=incident, score=5, actor=alice, now=WEDNESDAY)
        services.close(incident=incident, actor=chen, now=WEDNESDAY)
        for stranger in (chen, vera):
            with pytest.raises(PermissionDenied):
                services.rate(incident=incident, score=5, actor=stranger, now=WEDNESDAY)


def test_a_bad_score_reaches_the_manager(jia: Customer, alice: User, chen: User, lin: User) -> None:
    incident = resolved(jia, alice, chen)
    with scope.customer(jia):
        services.confirm(incident=incident, actor=alice, now=WEDNESDAY, score=1)
        assert {row.user for row in Delivery.objects.filter(key__contains=":rated:")} == {chen, lin}


def test_the_customer_confirms_with_stars_on_the_page(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    incident = resolved(jia, alice, chen, now=NOW)
    browser = client_for(alice)
    assert 'name="score"' in browser.get(f"/incidents/{incident.pk}/close/").content.decode()
    assert 'name="score"' not in client_for(chen).get(f"/incidents/{incident.pk}/close/").content.decode()
    browser.post(f"/incidents/{incident.pk}/close/", {"score": "4", "remark": "Good <b>work</b>"})
    page = browser.get(f"/incidents/{incident.pk}/").content.decode()
    assert "Good &lt;b&gt;work&lt;/b&gt;" in page
    assert page.count("★") == 4
    assert "★" in browser.get("/incidents/").content.decode()
    assert browser.post(f"/incidents/{incident.pk}/rate/", {"score": "9"}).status_code == 422


def test_stars_are_not_asked_for(jia: Customer, alice: User, chen: User, client_for: ClientFor) -> None:
    incident = resolved(jia, alice, chen, now=NOW)
    client_for(alice).post(f"/incidents/{incident.pk}/close/", {"remark": ""})
    assert state(incident) == "closed"
    with scope.platform("test"):
        assert not Satisfaction.objects.exists()
