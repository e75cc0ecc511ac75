"""Many messages at once: sent in their order, with few statements, and nothing half done when it goes wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from demo.robots import Fault, Robots
from notify.models import Attempt, Delivery
from notify.services import Message, Note, Notice, broadcast_many, delivering, leasing, tell_many
from tests.conftest import NOW
from tests.notify.conftest import Clock, attempts, drain, make_webhook, message, say, states

pytestmark = pytest.mark.django_db


def say_many(customer: Customer, count: int) -> None:
    notices = [Notice(f"incident:{number}:opened", message(subject=f"number {number}")) for number in range(count)]
    with scope.customer(customer):
        broadcast_many(customer=customer, notices=notices, now=NOW)


def test_a_burst_to_a_webhook_arrives_whole_and_in_order(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_webhook(robots, jia)
    say_many(jia, 45)
    assert drain(channel, clock) == 45
    assert [entry.title.rpartition(" ")[2] for entry in robots.received] == [str(number) for number in range(45)]
    assert states(channel) == ["delivered"] * 45
    assert attempts(channel) == [("accepted", "http 200")] * 45


def test_the_secret_is_opened_once_for_what_is_sent_together(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_webhook(robots, jia)
    say_many(jia, delivering.AT_A_TIME)
    with scope.platform("test"):
        before = AuditEntry.objects.count()
    drain(channel, clock)
    with scope.platform("test"):
        assert AuditEntry.objects.count() == before + 2  # url and secret


def test_the_statements_of_a_burst_do_not_grow_with_it(jia: Customer, robots: Robots) -> None:
    make_webhook(robots, jia)
    counts = []
    for number, size in enumerate((2, 200)):
        with scope.customer(jia), CaptureQueriesContext(connection) as seen:
            broadcast_many(
                customer=jia,
                notices=[Notice(f"{number}:{each}", message()) for each in range(size)],
                now=NOW,
            )
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_when_the_receiver_stumbles_the_rest_is_given_back_untouched(
    jia: Customer, robots: Robots, clock: Clock
) -> None:
    channel = make_webhook(robots, jia)
    say_many(jia, 5)
    robots.fail_next(Fault.HTTP, 500)
    assert drain(channel, clock) == 1
    assert states(channel) == ["pending"] * 5
    assert len(attempts(channel)) == 1
    with scope.platform("test"):
        assert list(Delivery.objects.order_by("pk").values_list("tries", flat=True)) == [1, 0, 0, 0, 0]
        assert not Delivery.objects.exclude(lease_until=None).exists()
    clock.advance(minutes=1)
    assert drain(channel, clock) == 5
    assert states(channel) == ["delivered"] * 5


def test_what_was_not_begun_in_time_is_given_back_before_the_lease_ends(
    jia: Customer, robots: Robots, clock: Clock
) -> None:
    channel = make_webhook(robots, jia)
    say_many(jia, 3)
    claims = delivering.claim_some(lane=channel.pk, now=clock())
    assert len(claims) == 3
    times = iter([NOW, NOW, NOW + leasing.LEASE, NOW + leasing.LEASE, NOW + leasing.LEASE])
    with scope.platform("test"):
        made, goes_on = delivering.send_in_turn(claims, lambda: next(times))
    assert (made, goes_on) == (1, True)
    assert states(channel) == ["delivered", "pending", "pending"]


def test_a_batch_whose_lease_ran_out_settles_late_without_a_repeat(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_webhook(robots, jia)
    say_many(jia, 2)
    claims = delivering.claim_some(lane=channel.pk, now=clock())
    delivering.recover(now=clock.advance(minutes=2))
    with scope.platform("test"):
        delivering.send_in_turn(claims[:1], clock)
    assert states(channel) == ["delivered", "pending"]
    assert [verdict for verdict, _ in attempts(channel)] == ["accepted", "uncertain"]


def test_notes_to_many_people_are_those_of_telling_each(jia: Customer, chen: User, lin: User) -> None:
    text = Message("incident", "one", "text", severity=2)
    with scope.customer(jia):
        for _ in range(2):
            tell_many(customer=jia, notes=[Note(chen, "a", text), Note(lin, "a", text), Note(chen, "b", text)], now=NOW)
    with scope.platform("test"):
        rows = Delivery.objects.values_list("user_id", "key", "medium", "state").order_by("pk")
        assert list(rows) == [
            (chen.pk, "a", "inbox", "delivered"),
            (lin.pk, "a", "inbox", "delivered"),
            (chen.pk, "b", "inbox", "delivered"),
        ]
        assert not Attempt.objects.exists()


def test_a_single_message_still_wakes_its_lane(jia: Customer, robots: Robots) -> None:
    channel = make_webhook(robots, jia)
    say(jia, now=NOW - timedelta(minutes=1))
    assert delivering.lanes_due(now=NOW) == [channel.pk]
