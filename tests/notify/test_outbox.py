"""A message is a row: who gets it, once, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import transaction

from accounts import scope
from accounts.models import Customer, Role, Severity, User
from demo.robots import Fault, Robots
from notify.channels import email
from notify.models import Attempt, Channel, Delivery
from notify.providers import SMTP_BACKEND
from notify.services import Message, delivering, tell
from notify.services.channels import resend
from notify.services.inbox import set_preference
from notify.services.outbox import PERSONAL_MAIL
from tests.conftest import NOW, make_person
from tests.notify.conftest import (
    Clock,
    attempts,
    drain,
    make_channel,
    make_dingtalk,
    make_webhook,
    make_wecom,
    message,
    say,
    states,
)
from tests.notify.mailbox import Mailbox

pytestmark = pytest.mark.django_db


def test_a_message_reaches_every_listening_channel_once(jia: Customer, robots: Robots, clock: Clock) -> None:
    ding, chat = make_dingtalk(robots, jia), make_wecom(robots, jia)
    first, again = say(jia), say(jia)
    assert {row.pk for row in first} == {row.pk for row in again}
    assert drain(ding, clock) + drain(chat, clock) == 2
    assert sorted(entry.kind for entry in robots.received) == ["dingtalk", "wecom"]
    assert "web-1 is down" in robots.received[0].text
    assert "(http://testserver/incidents/7/)" in robots.received[0].text
    assert states(ding) == states(chat) == ["delivered"]


def test_topic_severity_and_standby_decide_who_hears(jia: Customer, robots: Robots) -> None:
    make_dingtalk(robots, jia, "all")
    make_dingtalk(robots, jia, "only-high", min_severity=Severity.HIGH)
    make_dingtalk(robots, jia, "only-sla", topics=["sla"])
    make_dingtalk(robots, jia, "standby", is_standby=True)
    make_dingtalk(robots, jia, "off", is_active=False)
    assert len(say(jia, "a", severity=Severity.HIGH)) == 2
    assert len(say(jia, "b", severity=Severity.WARNING)) == 1
    assert len(say(jia, "c", severity=None, topic="sla")) == 3


def test_another_customer_hears_nothing(jia: Customer, yi: Customer, robots: Robots) -> None:
    make_dingtalk(robots, yi)
    assert say(jia) == []


def test_the_providers_own_robot_hears_about_everybody_by_name(
    jia: Customer, yi: Customer, robots: Robots, clock: Clock
) -> None:
    ours = make_dingtalk(robots, None)
    say(jia, "a")
    say(yi, "b")
    assert drain(ours, clock) == 2
    assert [entry.title.split("] ")[1] for entry in robots.received] == [
        "甲方制造: web-1 is down",
        "乙酉物流: web-1 is down",
    ]
    with scope.customer(jia):
        assert Delivery.objects.filter(channel=ours).count() == 1


def test_a_rolled_back_cause_sends_nothing(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)

    def fail_after_saying() -> None:
        with transaction.atomic():
            say(jia)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_saying()
    assert drain(channel, clock) == 0
    assert states(channel) == []


def test_the_worst_goes_first(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    for severity in (Severity.WARNING, Severity.AVERAGE, Severity.DISASTER, Severity.HIGH):
        say(jia, f"k{severity}", severity=severity, subject=f"s{int(severity)}")
    drain(channel, clock)
    assert [entry.title[-2:] for entry in robots.received] == ["s1", "s2", "s3", "s4"]


def test_a_transient_refusal_is_tried_again_later_and_written_down(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia)
    robots.fail_next(Fault.ERRCODE, -1)
    assert drain(channel, clock) == 1
    assert drain(channel, clock) == 0
    clock.advance(seconds=5)
    assert drain(channel, clock) == 1
    assert attempts(channel) == [("failed", "-1"), ("accepted", "0")]
    assert states(channel) == ["delivered"]


def test_a_wrong_token_is_not_tried_again(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    robots.book.dingtalk.clear()
    say(jia)
    assert drain(channel, clock) == 1
    assert attempts(channel) == [("refused", "300001")]
    assert states(channel) == ["failed"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to providers give up after 0.3 s."""
    monkeypatch.setattr("notify.providers.TOTAL_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("severity", "fate"), [(1, (2, ["delivered"])), (4, (1, ["uncertain"]))])
def test_a_lost_answer_repeats_a_disaster_and_lets_a_warning_rest(
    jia: Customer, robots: Robots, clock: Clock, severity: int, fate: tuple[int, list[str]]
) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia, severity=severity)
    robots.fail_next(Fault.TIMEOUT_AFTER)
    drain(channel, clock)
    clock.advance(minutes=5)
    drain(channel, clock)
    assert (len(robots.received), states(channel)) == fate
    marks = ["重复" in entry.text or "repeat" in entry.text for entry in robots.received]
    assert marks == [False, True][: len(marks)]


@pytest.mark.usefixtures("impatient")
def test_a_lost_answer_of_a_webhook_is_repeated_and_taken_once(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_webhook(robots, jia)
    say(jia, severity=Severity.WARNING)
    robots.fail_next(Fault.TIMEOUT_AFTER)
    drain(channel, clock)
    clock.advance(minutes=1)
    drain(channel, clock)
    assert len(robots.received) == 1
    assert attempts(channel) == [("uncertain", "no answer"), ("accepted", "http 200")]


def test_what_one_channel_cannot_deliver_the_next_one_does(jia: Customer, robots: Robots, clock: Clock) -> None:
    chat = make_wecom(robots, jia, is_standby=True)
    ding = make_dingtalk(robots, jia, fallback=chat)
    robots.fail_next(Fault.ERRCODE, -1, times=3)
    say(jia)
    for _ in range(3):
        drain(ding, clock)
        clock.advance(minutes=1)
    assert states(ding) == ["failed"]
    drain(chat, clock)
    assert [entry.kind for entry in robots.received] == ["wecom"]
    with scope.customer(jia):
        stand_in = Delivery.objects.get(channel=chat)
        assert stand_in.stands_in_for == Delivery.objects.get(channel=ding)


def test_a_fallback_that_heard_it_already_is_not_told_twice(jia: Customer, robots: Robots, clock: Clock) -> None:
    chat = make_wecom(robots, jia)
    ding = make_dingtalk(robots, jia, fallback=chat)
    robots.fail_next(Fault.ERRCODE, 300001)
    say(jia)
    drain(ding, clock)
    drain(chat, clock)
    assert states(chat) == ["delivered"]
    assert len(robots.received) == 1


def test_when_no_channel_delivers_the_engineers_hear_it(
    jia: Customer, chen: User, lin: User, robots: Robots, clock: Clock
) -> None:
    alice = make_person("alice", Role.CUSTOMER_PM, jia)
    chat = make_wecom(robots, jia)
    ding = make_dingtalk(robots, jia, fallback=chat)
    say(jia)
    robots.book.dingtalk.clear()
    drain(ding, clock)
    with scope.platform("test"):
        assert not Delivery.objects.inbox_of(chen).exists()
    robots.book.wecom.clear()
    drain(chat, clock)
    with scope.platform("test"):
        [told] = Delivery.objects.inbox_of(chen)
        assert told.customer == jia
        assert Delivery.objects.inbox_of(lin).count() == 1
        assert not Delivery.objects.inbox_of(alice).exists()
        assert "web-1 is down" in told.text


def test_an_expired_lease_counts_as_an_uncertain_try(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia, "a", severity=Severity.DISASTER)
    say(jia, "b", severity=Severity.WARNING)
    for _ in range(2):
        assert delivering.claim_next(lane=channel.pk, now=clock()) is not None
    assert delivering.recover(now=clock()) == 0
    clock.advance(seconds=31)
    assert delivering.recover(now=clock()) == 2
    assert states(channel) == ["pending", "uncertain"]
    assert attempts(channel) == [("uncertain", "worker lost")] * 2
    clock.advance(seconds=5)
    drain(channel, clock)
    assert states(channel) == ["delivered", "uncertain"]


def test_a_worker_that_comes_back_too_late_spares_the_repeat(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia, severity=Severity.DISASTER)
    claim = delivering.claim_next(lane=channel.pk, now=clock())
    assert claim is not None
    clock.advance(seconds=31)
    delivering.recover(now=clock())
    with scope.platform("test"):
        delivering.send(claim, clock=clock)
    clock.advance(minutes=5)
    assert drain(channel, clock) == 0
    assert states(channel) == ["delivered"]
    assert len(robots.received) == 1


def test_lanes_with_something_due_are_found(jia: Customer, robots: Robots, chen: User) -> None:
    channel = make_dingtalk(robots, jia)
    assert delivering.lanes_due(now=NOW) == []
    say(jia)
    with scope.customer(jia):
        tell(user=chen, key="k", message=message(), now=NOW, channels=("email",))
    assert delivering.lanes_due(now=NOW - timedelta(seconds=1)) == []
    assert delivering.lanes_due(now=NOW) == [PERSONAL_MAIL, channel.pk]


def test_a_personal_message_is_in_the_inbox_and_in_the_mail_once(jia: Customer, alice: User, clock: Clock) -> None:
    with scope.customer(jia):
        for _ in range(2):
            told = tell(user=alice, key="k", message=message(), now=NOW, channels=("inbox", "email"))
    assert sorted(row.medium for row in told) == ["email", "inbox"]
    assert delivering.drain(lane=PERSONAL_MAIL, clock=clock) == 1
    [sent] = mail.outbox
    assert sent.to == [alice.email]
    assert "web-1 does not answer." in sent.body
    assert "http://testserver/incidents/7/" in sent.body
    assert "**" not in sent.body


def test_preferences_hold_mail_back_but_never_the_inbox(jia: Customer, alice: User) -> None:
    with scope.customer(jia):
        set_preference(person=alice, email_topics=["incident"], email_min_severity=Severity.HIGH)
        both = ("inbox", "email")
        assert len(tell(user=alice, key="a", message=message(Severity.DISASTER), now=NOW, channels=both)) == 2
        assert len(tell(user=alice, key="b", message=message(Severity.WARNING), now=NOW, channels=both)) == 1
        assert len(tell(user=alice, key="c", message=message(None, topic="sla"), now=NOW, channels=both)) == 1
        account = Message(topic="account", subject="Your contract ends", text="")
        assert len(tell(user=alice, key="d", message=account, now=NOW, channels=both)) == 2


def test_an_engineer_loses_the_messages_of_a_customer_that_is_taken_away(
    jia: Customer, yi: Customer, chen: User
) -> None:
    with scope.customer(jia):
        tell(user=chen, key="k", message=message(), now=NOW)
    with scope.user(chen):
        assert Delivery.objects.inbox_of(chen).count() == 1
    with scope.platform("test"):
        chen.assignments.filter(customer=jia).delete()
    with scope.user(chen):
        assert Delivery.objects.inbox_of(chen).count() == 0


def test_a_name_that_looks_like_a_link_becomes_none(jia: Customer, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia, subject="disk [of web-1](https://evil.example) is full")
    drain(channel, clock)
    assert "](https://evil.example" not in robots.received[0].text


def test_mail_to_a_list_shows_no_markup_from_the_message(jia: Customer, clock: Clock) -> None:
    channel = make_channel(jia, Channel.Kind.EMAIL, {}, recipients=["ops@jia.example"])
    say(jia, subject="<script>alert(1)</script>")
    drain(channel, clock)
    [sent] = mail.outbox
    assert isinstance(sent, mail.EmailMultiAlternatives)
    html = str(sent.alternatives[0][0])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_failed_message_can_be_sent_again_and_a_delivered_one_cannot(
    jia: Customer, lin: User, robots: Robots, clock: Clock
) -> None:
    channel = make_dingtalk(robots, jia)
    robots.fail_next(Fault.ERRCODE, 300001)
    [delivery] = say(jia)
    drain(channel, clock)
    with scope.customer(jia):
        resend(delivery=delivery, actor=lin, now=clock())
    drain(channel, clock)
    assert states(channel) == ["delivered"]
    with scope.customer(jia), pytest.raises(Exception, match=r"Only failed|只有"):
        resend(delivery=delivery, actor=lin, now=clock())
    with scope.customer(jia):
        assert Attempt.objects.filter(delivery=delivery).count() == 2


def test_mail_leaves_over_smtp_and_a_repeat_carries_the_same_id(
    jia: Customer, clock: Clock, mailbox: tuple[Mailbox, email.Server], settings: LazySettings
) -> None:
    box, server = mailbox
    settings.EMAIL_BACKEND = SMTP_BACKEND
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_SSL = server.host, server.port, False
    channel = make_channel(jia, Channel.Kind.EMAIL, {}, recipients=["ops@jia.example"])
    say(jia)
    box.plan["data"] = "hang up"
    drain(channel, clock)
    box.plan.clear()
    clock.advance(seconds=5)
    drain(channel, clock)
    contents = [sent.content if isinstance(sent.content, bytes) else b"" for sent in box.envelopes]
    identities = [line for content in contents for line in content.splitlines() if line.startswith(b"Message-ID")]
    assert len(identities) == 2
    assert len(set(identities)) == 1
    assert attempts(channel) == [("uncertain", "no answer"), ("accepted", "smtp 250")]
