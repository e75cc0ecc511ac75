"""Who is on duty at an instant, and where nobody is."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Role, RosterShift, User
from accounts.services import roster
from tests.conftest import NOW, make_person

HOUR = timedelta(hours=1)
Duty = RosterShift.Duty


def shift(
    user: User, start: float = 0, end: float = 8, duty: str = Duty.FIRST, customer: Customer | None = None
) -> RosterShift:
    with scope.platform("test"):
        return roster.add_shift(
            duty=duty,
            user=user,
            starts_at=NOW + start * HOUR,
            ends_at=NOW + end * HOUR,
            customer=customer,
            actor=None,
            now=NOW,
        )


def duty_of(customer: Customer, hours: float = 1) -> roster.OnDuty:
    with scope.customer(customer):
        return roster.on_duty(customer_id=customer.pk, at=NOW + hours * HOUR)


def test_nobody_is_on_duty_where_nobody_was_put(jia: Customer) -> None:
    assert duty_of(jia) == roster.OnDuty(None, None, None)


def test_a_shift_begins_at_its_start_and_its_end_belongs_to_the_next(jia: Customer, chen: User, lin: User) -> None:
    shift(chen, 0, 8)
    shift(lin, 8, 16)
    assert [duty_of(jia, hours).first for hours in (-0.01, 0, 7.99, 8, 15.99, 16)] == [None, chen, chen, lin, lin, None]


def test_a_shift_of_one_customer_goes_before_one_for_all_and_only_there(
    jia: Customer, yi: Customer, chen: User, lin: User
) -> None:
    shift(chen)
    shift(lin, customer=jia)
    assert duty_of(jia).first == lin
    assert duty_of(yi).first == chen


def test_of_two_shifts_the_later_start_counts(jia: Customer, chen: User, lin: User) -> None:
    shift(lin, 0.5, 4)
    shift(chen, 0, 8)
    assert duty_of(jia, 1).first == lin
    assert duty_of(jia, 5).first == chen


def test_the_acting_manager_serves_while_there_is_no_manager(jia: Customer, lin: User, root: User) -> None:
    shift(root, duty=Duty.ACTING_MANAGER)
    assert duty_of(jia).manager == root
    shift(lin, 0, 4, duty=Duty.MANAGER)
    assert duty_of(jia, 1).manager == lin
    assert duty_of(jia, 5).manager == root


def test_somebody_without_access_is_not_on_duty(jia: Customer, chen: User, lin: User) -> None:
    shift(lin)
    shift(chen, 0.5)
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(is_active=False)
    assert duty_of(jia).first == lin


@pytest.mark.parametrize("who", ["alice", "gone"])
def test_only_active_people_of_the_provider_are_put_on_duty(who: str, alice: User) -> None:
    gone = make_person("gone", Role.ENGINEER)
    gone.is_active = False
    with pytest.raises(DomainError):
        shift({"alice": alice, "gone": gone}[who])


@pytest.mark.parametrize("end", [0, -1])
def test_a_shift_ends_after_it_starts(end: float, chen: User) -> None:
    with pytest.raises(DomainError):
        shift(chen, 0, end)
    with scope.platform("past the service"), pytest.raises(IntegrityError), transaction.atomic():
        RosterShift.objects.create(duty=Duty.FIRST, user=chen, starts_at=NOW, ends_at=NOW + end * HOUR)


def test_putting_on_and_taking_off_is_audited(chen: User, lin: User) -> None:
    added = shift(chen)
    with scope.user(lin):
        roster.remove_shift(shift=added, actor=lin, now=NOW)
    with scope.platform("test"):
        actions = AuditEntry.objects.filter(action__startswith="roster.").order_by("sequence")
        assert list(actions.values_list("action", flat=True)) == ["roster.add", "roster.remove"]
        assert not RosterShift.objects.exists()


def gaps(customer: Customer | None, duty: str, hours: float = 24) -> list[tuple[float, float]]:
    with scope.platform("test"):
        found = roster.gaps(customer_id=None if customer is None else customer.pk, start=NOW, end=NOW + hours * HOUR)
    return [(since(gap.starts_at), since(gap.ends_at)) for gap in found if gap.duty == duty]


def since(moment: datetime) -> float:
    return (moment - NOW) / HOUR


def test_an_empty_roster_is_one_gap_for_each_duty(jia: Customer) -> None:
    assert gaps(jia, Duty.FIRST) == gaps(jia, Duty.SECOND) == gaps(jia, Duty.MANAGER) == [(0, 24)]


def test_gaps_lie_before_between_and_after_shifts(jia: Customer, chen: User, lin: User) -> None:
    shift(chen, 2, 6)
    shift(lin, 5, 8)
    shift(chen, 8, 9)
    shift(lin, 12, 20)
    assert gaps(jia, Duty.FIRST) == [(0, 2), (9, 12), (20, 24)]


def test_shifts_that_reach_over_the_edges_leave_no_gap_there(jia: Customer, chen: User) -> None:
    shift(chen, -5, 30)
    assert gaps(jia, Duty.FIRST) == []


def test_a_gap_for_all_is_none_for_the_customer_who_has_somebody(jia: Customer, chen: User) -> None:
    shift(chen, 0, 24, customer=jia)
    assert gaps(jia, Duty.FIRST) == []
    assert gaps(None, Duty.FIRST) == [(0, 24)]


def test_the_acting_manager_fills_the_managers_gap(jia: Customer, lin: User, root: User) -> None:
    shift(lin, 0, 10, duty=Duty.MANAGER)
    shift(root, 9, 24, duty=Duty.ACTING_MANAGER)
    assert gaps(jia, Duty.MANAGER) == []


def test_a_person_without_access_leaves_a_gap(jia: Customer, chen: User) -> None:
    shift(chen, 0, 24)
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(is_active=False)
    assert gaps(jia, Duty.FIRST) == [(0, 24)]
