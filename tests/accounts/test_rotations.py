"""Rotations lay shifts out as rows and keep them in step; over them goes what people put in; swaps and feeds."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Role, RosterFeed, RosterShift, Rotation, ShiftSwap, User
from accounts.services import calendars, feeds, roster, rotations, swaps
from accounts.services.swaps import Stretch
from tests.conftest import NOW, make_person

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
"""Nine o'clock in Shanghai, an hour before NOW."""


@pytest.fixture
def zhou(db: None) -> User:
    return make_person("zhou", Role.ENGINEER)


def make(
    crew: list[User], lin: User, *, now: datetime = NOW, customer: Customer | None = None, **changes: Any
) -> Rotation:
    terms: dict[str, object] = {
        "name": "Days", "duty": "first", "customer": customer, "first_day": date(2026, 3, 2), "handover": time(9),
        "days_per_turn": 1, "people": [person.pk for person in crew],
    }  # fmt: skip
    with scope.platform("test"):
        return rotations.save(made=Rotation(**terms | changes), actor=lin, now=now)


def on_duty(customer: Customer, at: datetime) -> str:
    with scope.customer(customer):
        person = roster.on_duty(customer_id=customer.pk, at=at).first
        return person.name if person else ""


def shifts(**where: object) -> int:
    with scope.platform("test"):
        return RosterShift.objects.filter(**where).count()


def test_a_rotation_answers_for_any_instant_ahead(jia: Customer, chen: User, zhou: User, lin: User) -> None:
    make([chen, zhou], lin)
    assert [on_duty(jia, NOW + n * DAY) for n in range(4)] == ["Chen", "Zhou", "Chen", "Zhou"]
    assert on_duty(jia, NINE) == "", "a rotation does not change what has been"
    assert on_duty(jia, NINE + DAY - timedelta(seconds=1)) == "Chen"
    with scope.customer(jia):
        gaps = roster.gaps(customer_id=jia.pk, start=NOW, end=NOW + 30 * DAY)
        assert {gap.duty for gap in gaps} == {"second", "manager"}


def test_laying_out_again_changes_nothing_and_the_next_day_adds_one(
    jia: Customer, chen: User, zhou: User, lin: User
) -> None:
    made = make([chen, zhou], lin)
    before = shifts()
    with scope.platform("test"):
        assert rotations.lay_out_all(now=NOW) == 0
        assert rotations.lay_out_all(now=NOW + HOUR) == 0
        rotations.lay_out_all(now=NOW + DAY)
    assert shifts(rotation=made) == before + 1


def test_a_change_moves_what_lies_ahead_and_leaves_the_past(jia: Customer, chen: User, zhou: User, lin: User) -> None:
    made = make([chen, zhou], lin)
    later = NINE + 2 * DAY + 4 * HOUR
    with scope.platform("test"):
        made.people = [zhou.pk]
        rotations.save(made=made, actor=lin, now=later)
    assert [on_duty(jia, NOW + n * DAY) for n in range(2)] == ["Chen", "Zhou"]
    assert on_duty(jia, later - HOUR) == "Chen", "who had it until the change had it"
    assert on_duty(jia, later) == "Zhou"
    assert on_duty(jia, NINE + 4 * DAY) == "Zhou"
    with scope.platform("test"):
        assert rotations.lay_out_all(now=later + HOUR) == 0


def test_an_ended_rotation_leaves_the_roster(jia: Customer, chen: User, lin: User) -> None:
    made = make([chen], lin)
    with scope.platform("test"):
        rotations.end(ended=made, actor=lin, now=NOW + HOUR)
        rotations.end(ended=made, actor=lin, now=NOW + 2 * HOUR)
        assert rotations.lay_out_all(now=NOW + DAY) == 0
    assert on_duty(jia, NOW) == "Chen"
    assert on_duty(jia, NOW + HOUR) == ""


def test_days_off_by_the_calendar_have_their_own_people(jia: Customer, chen: User, zhou: User, lin: User) -> None:
    """2026-02-28 is a Saturday that is worked, 2026-02-23 a Monday of the Spring Festival (State Council's notice)."""
    with scope.platform("test"):
        calendars.seed_default(years=[2025, 2026], now=NOW)
    early = datetime(2026, 2, 20, 2, tzinfo=UTC)
    make([chen], lin, now=early, first_day=date(2026, 2, 20), rest_people=[zhou.pk])
    noon = datetime(2026, 2, 23, 4, tzinfo=UTC)
    assert on_duty(jia, noon) == "Zhou"
    assert on_duty(jia, datetime(2026, 2, 28, 4, tzinfo=UTC)) == "Chen"
    assert on_duty(jia, datetime(2026, 3, 1, 4, tzinfo=UTC)) == "Zhou"


def test_what_a_person_put_in_goes_before_the_rotation_and_survives_it(
    jia: Customer, chen: User, zhou: User, lin: User
) -> None:
    made = make([chen], lin)
    with scope.platform("test"):
        roster.add_shift(
            duty="first", user=zhou, starts_at=NINE - HOUR, ends_at=NINE + 5 * HOUR, customer=None, actor=lin, now=NOW
        )
        rotations.save(made=made, actor=lin, now=NOW)
        spans = roster.effective(customer_id=None, start=NINE, end=NINE + DAY)
    assert on_duty(jia, NINE + HOUR) == "Zhou"
    assert [(span.user.name, span.ends_at) for span in spans] == [("Zhou", NINE + 5 * HOUR), ("Chen", NINE + DAY)]


def test_a_rotation_for_one_customer_goes_before_that_for_all(
    jia: Customer, yi: Customer, chen: User, zhou: User, lin: User
) -> None:
    make([chen], lin)
    make([zhou], lin, customer=jia)
    assert (on_duty(jia, NOW), on_duty(yi, NOW)) == ("Zhou", "Chen")


@pytest.mark.parametrize(
    "changes",
    [
        {"people": []},
        {"slots": ["08:00-20:00", "19:00-08:00"]},
        {"slots": ["rubbish"]},
        {"days_per_turn": 0},
        {"people": [999_999]},
    ],
)
def test_a_rotation_that_cannot_be_is_refused(lin: User, chen: User, changes: dict[str, Any]) -> None:
    with pytest.raises(DomainError):
        make([chen], lin, **changes)
    with scope.platform("test"):
        assert not Rotation.objects.exists()


# --- swaps -----------------------------------------------------------------------------------------------------------

FIRST = Stretch("first", NINE + DAY, NINE + 2 * DAY)
SECOND = Stretch("first", NINE + 2 * DAY, NINE + 3 * DAY)


@pytest.fixture
def turns(chen: User, zhou: User, lin: User) -> None:
    make([lin, chen, zhou], lin)


def ask(asker: User, colleague: User, stretch: Stretch = FIRST, back: Stretch | None = None) -> ShiftSwap:
    with scope.user(asker):
        return swaps.ask(stretch=stretch, colleague=colleague, in_return=back, asker=asker, now=NOW)


def test_a_swap_that_is_accepted_changes_both_days(turns: None, jia: Customer, chen: User, zhou: User) -> None:
    swap = ask(chen, zhou, back=SECOND)
    assert on_duty(jia, NINE + DAY) == "Chen", "asking changes nothing"
    with scope.user(zhou):
        swaps.answer(swap=swap, accept=True, actor=zhou, now=NOW)
    assert [on_duty(jia, NINE + n * DAY + HOUR) for n in range(4)] == ["Lin", "Zhou", "Chen", "Lin"]
    with scope.platform("test"):
        rotations.lay_out_all(now=NOW)
        assert set(AuditEntry.objects.filter(action__startswith="swap.").values_list("action", flat=True)) == {
            "swap.ask",
            "swap.accept",
        }
    assert on_duty(jia, NINE + DAY) == "Zhou"


def test_a_part_of_a_shift_goes_over(turns: None, jia: Customer, chen: User, zhou: User) -> None:
    evening = Stretch("first", NINE + DAY + 9 * HOUR, NINE + DAY + 12 * HOUR)
    swap = ask(chen, zhou, evening)
    with scope.user(zhou):
        swaps.answer(swap=swap, accept=True, actor=zhou, now=NOW)
    assert [on_duty(jia, NINE + DAY + n * HOUR) for n in (8, 9, 11, 12)] == ["Chen", "Zhou", "Zhou", "Chen"]


@pytest.mark.parametrize("accept", [True, False])
def test_the_asker_does_not_answer_and_an_answer_is_the_last(turns: None, chen: User, zhou: User, accept: bool) -> None:
    swap = ask(chen, zhou)
    with scope.platform("test"):
        with pytest.raises(PermissionDenied):
            swaps.answer(swap=swap, accept=accept, actor=chen, now=NOW)
        swaps.answer(swap=swap, accept=accept, actor=zhou, now=NOW)
        with pytest.raises(DomainError):
            swaps.answer(swap=swap, accept=True, actor=zhou, now=NOW)
        with pytest.raises(DomainError):
            swaps.withdraw(swap=swap, actor=chen, now=NOW)


def test_a_manager_answers_for_somebody_who_cannot(
    turns: None, jia: Customer, chen: User, zhou: User, lin: User
) -> None:
    swap = ask(chen, zhou)
    with scope.user(lin):
        swaps.answer(swap=swap, accept=True, actor=lin, now=NOW)
    assert on_duty(jia, FIRST.starts_at) == "Zhou"


def test_nobody_swaps_what_they_do_not_have(turns: None, chen: User, zhou: User, alice: User) -> None:
    for asker, colleague, stretch, back in (
        (chen, zhou, SECOND, None),
        (chen, zhou, FIRST, FIRST),
        (chen, chen, FIRST, None),
        (chen, zhou, Stretch("first", NINE - 5 * DAY, NINE - 4 * DAY), None),
        (chen, zhou, Stretch("second", FIRST.starts_at, FIRST.ends_at), None),
    ):
        with pytest.raises(DomainError):
            ask(asker, colleague, stretch, back)
    with pytest.raises(PermissionDenied):
        ask(chen, alice)


def test_a_swap_that_the_roster_has_overtaken_is_refused(turns: None, chen: User, zhou: User, lin: User) -> None:
    swap = ask(chen, zhou)
    with scope.platform("test"):
        roster.add_shift(
            duty="first", user=lin, starts_at=FIRST.starts_at, ends_at=FIRST.ends_at, customer=None, actor=lin, now=NOW
        )
        with pytest.raises(DomainError, match="Chen"):
            swaps.answer(swap=swap, accept=True, actor=zhou, now=NOW)


# --- calendar programs -----------------------------------------------------------------------------------------------


def test_a_feed_has_ones_own_shifts_as_they_really_are(turns: None, chen: User, zhou: User) -> None:
    swap = ask(chen, zhou)
    with scope.user(zhou):
        swaps.answer(swap=swap, accept=True, actor=zhou, now=NOW)
    feed, token = feeds.give(person=zhou, what="person", now=NOW)
    assert feeds.find(token, now=NOW) == feed
    own = feeds.events(feed, now=NOW)
    assert [event.starts_at for event in own[:2]] == [NINE + DAY, NINE + 2 * DAY]
    team, _token = feeds.give(person=zhou, what="team", now=NOW)
    assert len(feeds.events(team, now=NOW)) > 2 * len(own)


def test_a_feed_ends_with_its_revocation_and_with_its_owner(turns: None, chen: User, zhou: User, alice: User) -> None:
    feed, token = feeds.give(person=zhou, what="team", now=NOW)
    with pytest.raises(PermissionDenied):
        feeds.revoke(feed=feed, actor=chen, now=NOW)
    with pytest.raises(PermissionDenied):
        feeds.give(person=alice, what="team", now=NOW)
    feeds.revoke(feed=feed, actor=zhou, now=NOW)
    assert feeds.find(token, now=NOW) is None
    _other, second = feeds.give(person=zhou, what="team", now=NOW)
    with scope.platform("test"):
        assert RosterFeed.objects.filter(token_hash=second).count() == 0, "the token itself is kept nowhere"
        User.objects.filter(pk=zhou.pk).update(is_active=False)
    assert feeds.find(second, now=NOW) is None


def test_a_feed_shows_no_customer_that_its_owner_does_not_serve(
    yi: Customer, jia: Customer, zhou: User, chen: User, lin: User
) -> None:
    make([chen], lin, customer=yi)
    feed, _token = feeds.give(person=zhou, what="team", now=NOW)
    assert feeds.events(feed, now=NOW) == []
