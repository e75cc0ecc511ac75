"""A Disaster is told to the customer's contacts by telephone until somebody is reached (SOW 附件一 §4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Contact, Customer, Severity, User
from demo.aliyun.exchange import ANSWERS, NO_ANSWER, Exchange
from demo.aliyun.server import CloudServer
from incidents import contacting, services
from incidents.models import ContactCall, Incident
from incidents.services import answering, outages
from notify.channels import voice
from notify.models import Delivery, PushDevice
from notify.services import policies
from tests.conftest import NOW
from tests.incidents.conftest import alarm, make_asset, raise_incident
from tests.notify.conftest import Clock, make_channel
from tests.notify.telephone import exchange_running, set_up, work
from timers.models import Timer

PRIMARY, SECONDARY = "13811110001", "13811110002"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock, settings: LazySettings, db: None) -> Iterator[CloudServer]:
    with exchange_running(clock, settings) as running:
        yield running


@pytest.fixture
def exchange(server: CloudServer) -> Exchange:
    return server.cloud.exchange


@pytest.fixture(autouse=True)
def contacts(jia: Customer, alice: User, bob: User) -> None:
    with scope.customer(jia):
        for kind, user, phone in (("primary", alice, PRIMARY), ("secondary", bob, SECONDARY)):
            Contact.objects.create(customer=jia, kind=kind, user=user, phone=phone, email=user.email)


def disaster(jia: Customer, alice: User, clock: Clock, **changes: object) -> Incident:
    return raise_incident(alice, customer=jia, severity=Severity.DISASTER, now=clock(), **changes)  # type: ignore[arg-type]


def hear(exchange: Exchange, clock: Clock) -> None:
    body = json.dumps(exchange.reports("voice")).encode()
    answering.take_reports(medium="voice", reports=voice.read_reports(body), now=clock())


def called(exchange: Exchange) -> list[str]:
    return [placed.number for placed in exchange.placed]


def told(incident: Incident) -> list[tuple[str, bool]]:
    with scope.platform("test"):
        entries = incident.timeline.filter(kind="called").order_by("pk")
        return [(entry.data["name"], entry.data["reached"]) for entry in entries]


def fire_due(clock: Clock) -> None:
    """The durable timers of calls that are due."""
    with scope.platform("test"):
        for timer in Timer.objects.pending().filter(task=contacting.TASK, due_at__lte=clock()):
            named = {("round_" if name == "round" else name): value for name, value in timer.args.items()}
            timer.delete()
            contacting.go_on(**named, now=clock())


def test_the_primary_contact_is_called_at_the_contracts_number_and_the_timeline_says_so(
    jia: Customer, alice: User, exchange: Exchange, clock: Clock
) -> None:
    incident = disaster(jia, alice, clock)
    work("voice", clock)
    assert called(exchange) == [PRIMARY]
    assert exchange.placed[0].kind == "call"
    hear(exchange, clock)
    assert told(incident) == [("Alice", True)]
    clock.advance(hours=1)
    fire_due(clock)
    work("voice", clock)
    assert called(exchange) == [PRIMARY]


def test_who_does_not_answer_gives_way_to_the_secondary_and_then_nobody_is_called_any_more(
    jia: Customer, alice: User, exchange: Exchange, clock: Clock
) -> None:
    exchange.behave(PRIMARY, NO_ANSWER)
    incident = disaster(jia, alice, clock)
    work("voice", clock)
    hear(exchange, clock)
    work("voice", clock)
    assert called(exchange) == [PRIMARY, SECONDARY]
    hear(exchange, clock)
    assert told(incident) == [("Alice", False), ("Bob", True)]
    clock.advance(minutes=5)
    fire_due(clock)
    assert work("voice", clock) == 0  # the second try of the primary was withdrawn


def test_when_nobody_answers_another_round_follows_until_somebody_does(
    jia: Customer, alice: User, exchange: Exchange, clock: Clock
) -> None:
    for number in (PRIMARY, SECONDARY):
        exchange.behave(number, NO_ANSWER)
    incident = disaster(jia, alice, clock)
    for _ in range(6):
        work("voice", clock)
        hear(exchange, clock)
        clock.advance(seconds=91)
    first_round = len(exchange.placed)
    assert first_round == 4  # each of them twice
    exchange.behave(SECONDARY, exchange._behaviours[SECONDARY].__class__())
    clock.advance(minutes=15)
    for _ in range(3):
        fire_due(clock)
        work("voice", clock)
        hear(exchange, clock)
        clock.advance(seconds=91)
    assert ("Bob", True) in told(incident)
    with scope.platform("test"):
        assert ContactCall.objects.get(incident=incident, what="opened").state == "reached"


def test_the_contacts_are_told_of_every_step_and_newer_news_replaces_older(
    jia: Customer, alice: User, chen: User, exchange: Exchange, clock: Clock
) -> None:
    incident = disaster(jia, alice, clock)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=clock())
    work("voice", clock)
    assert len(exchange.placed) == 1
    assert "Chen" in exchange.placed[0].words["title"]
    hear(exchange, clock)
    clock.advance(minutes=2)
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="restarted", cause="system", actor=chen, now=clock())
    work("voice", clock)
    assert called(exchange) == [PRIMARY, PRIMARY]
    with scope.platform("test"):
        states = dict(ContactCall.objects.filter(incident=incident).values_list("what", "state"))
    assert states["opened"] == "superseded"


def test_what_is_less_severe_is_pushed_and_nobody_is_called(
    jia: Customer, alice: User, exchange: Exchange, clock: Clock
) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.HIGH, now=clock())
    work("voice", clock)
    assert exchange.placed == []
    with scope.platform("test"):
        told = Delivery.objects.filter(user=alice, key__contains=":contact:").values_list("medium", "last_code")
        assert sorted(told) == [("email", ""), ("inbox", ""), ("push", "no device")], "a push would reach nobody"
        assert not ContactCall.objects.filter(incident=incident).exists()


def test_whoever_has_a_device_is_pushed_and_gets_no_mail(
    jia: Customer, alice: User, contacts: None, clock: Clock
) -> None:
    with scope.customer(jia):
        PushDevice.objects.create(user=alice, customer=jia, endpoint="https://push.example/1", added_at=clock())
    raise_incident(alice, customer=jia, severity=Severity.HIGH, now=clock())
    with scope.platform("test"):
        mediums = Delivery.objects.filter(user=alice, key__contains=":contact:").values_list("medium", flat=True)
        assert sorted(mediums) == ["inbox", "push"]


def test_without_a_telephone_the_timeline_says_that_somebody_must_call_by_hand(
    jia: Customer, alice: User, server: CloudServer, clock: Clock
) -> None:
    set_up(server, voice_is_on=False)
    incident = disaster(jia, alice, clock)
    with scope.platform("test"):
        entries = [entry.data["why"] for entry in incident.timeline.filter(kind="called")]
        assert entries == ["cannot_be_called"] * 2
        assert ContactCall.objects.get(incident=incident).state == "unreached"


@pytest.fixture
def one_round(jia: Customer, lin: User) -> None:
    """The primary contact is called, and once is enough."""
    with scope.platform("test"):
        plan = policies.Plan(contacts=("primary",), mediums=("voice",))
        policies.save(customer=jia, severity=Severity.DISASTER, plan=plan, actor=lin, now=NOW)


def alarms() -> list[Incident]:
    """The incidents that the provider keeps to itself."""
    with scope.platform("test"):
        return list(Incident.objects.filter(kind="internal").order_by("pk"))


def call_in_vain(jia: Customer, alice: User, exchange: Exchange, clock: Clock) -> Incident:
    exchange.behave(PRIMARY, NO_ANSWER)
    clock.advance(minutes=2)
    incident = disaster(jia, alice, clock)
    work("voice", clock)
    hear(exchange, clock)
    with scope.platform("test"):
        assert ContactCall.objects.get(incident=incident).state == "unreached"
    outages.watch(now=clock())
    return incident


def test_whom_no_call_reaches_is_an_incident_of_the_providers_own_until_somebody_answers(
    jia: Customer, alice: User, chen: User, one_round: None, exchange: Exchange, clock: Clock
) -> None:
    call_in_vain(jia, alice, exchange, clock)
    [alarm_] = alarms()
    assert (alarm_.customer_id, alarm_.severity, alarm_.state) == (jia.pk, Severity.HIGH, "open")
    assert "电话" in alarm_.title
    with scope.platform("test"):
        told = Delivery.objects.filter(about=f"incident:{alarm_.pk}").values_list("user", flat=True)
        assert chen.pk in told
        assert alice.pk not in told
    second = call_in_vain(jia, alice, exchange, clock)
    assert alarms() == [alarm_], "it joins the one that is open"
    with scope.platform("test"):
        assert second.number in alarm_.timeline.get(kind="note", is_internal=True).body
    exchange.behave(PRIMARY, ANSWERS)
    clock.advance(minutes=2)
    disaster(jia, alice, clock)
    work("voice", clock)
    hear(exchange, clock)
    outages.watch(now=clock())
    assert [each.state for each in alarms()] == ["closed"]


def test_a_group_that_hears_does_not_end_it_and_what_people_have_dealt_with_begins_anew(
    jia: Customer, alice: User, chen: User, one_round: None, exchange: Exchange, clock: Clock
) -> None:
    group = make_channel(jia, "dingtalk", {"access_token": "t", "secret": "SECtestsecret0001"})
    call_in_vain(jia, alice, exchange, clock)
    clock.advance(minutes=1)
    with scope.platform("test"):
        heard = Delivery.objects.filter(channel=group)
        assert heard.update(state="delivered", settled_at=clock()) == 1
    outages.watch(now=clock())
    [alarm_] = alarms()
    assert alarm_.state == "open"
    with scope.customer(jia):
        services.resolve(incident=alarm_, resolution="by mobile", cause="system", actor=chen, now=clock())
    call_in_vain(jia, alice, exchange, clock)
    assert [each.state for each in alarms()] == ["resolved", "open"]


@pytest.mark.parametrize("has_group", [True, False])
def test_that_we_have_no_telephone_is_an_outage_only_of_who_has_no_other_channel(
    jia: Customer, alice: User, server: CloudServer, clock: Clock, has_group: bool
) -> None:
    if has_group:
        make_channel(jia, "dingtalk", {"access_token": "t", "secret": "SECtestsecret0001"})
    set_up(server, voice_is_on=False)
    disaster(jia, alice, clock)
    outages.watch(now=clock())
    assert len(alarms()) == (0 if has_group else 1)


def test_a_lost_receipt_does_not_stop_the_round(jia: Customer, alice: User, exchange: Exchange, clock: Clock) -> None:
    disaster(jia, alice, clock)
    work("voice", clock)
    clock.advance(minutes=13)
    fire_due(clock)
    work("voice", clock)
    assert called(exchange) == [PRIMARY, SECONDARY]


def test_many_disasters_of_one_moment_are_one_call(jia: Customer, exchange: Exchange, clock: Clock) -> None:
    for number in range(3):
        alarm(make_asset(jia, f"web-{number}"), severity=Severity.DISASTER, key=f"a:{number}", now=clock())
    work("voice", clock)
    assert called(exchange) == [PRIMARY]
    assert exchange.placed[0].words["count"] == "3"
    hear(exchange, clock)
    with scope.platform("test"):
        assert set(ContactCall.objects.values_list("state", flat=True)) == {"reached"}


def test_a_contact_who_is_away_stands_back(jia: Customer, alice: User, exchange: Exchange, clock: Clock) -> None:
    with scope.customer(jia):
        Contact.objects.filter(user=alice).update(is_away=True)
    disaster(jia, alice, clock)
    work("voice", clock)
    assert called(exchange) == [SECONDARY]


def test_another_policy_holds_for_the_customer_that_agreed_on_it(
    jia: Customer, alice: User, lin: User, exchange: Exchange, clock: Clock
) -> None:
    plan = policies.Plan(contacts=("secondary",), mediums=("sms",), with_progress=False)
    with scope.platform("test"):
        policies.save(customer=jia, severity=Severity.DISASTER, plan=plan, actor=lin, now=NOW)
    disaster(jia, alice, clock)
    work("voice", clock)
    work("sms", clock)
    assert [(placed.kind, placed.number) for placed in exchange.placed] == [("sms", SECONDARY)]


def night() -> datetime:
    return NOW + timedelta(hours=14)  # midnight in Shanghai, Monday to Tuesday


def test_quiet_hours_hold_messages_back_and_the_morning_brings_them_in_one(
    jia: Customer, alice: User, lin: User, exchange: Exchange, clock: Clock
) -> None:
    plan = policies.Plan(contacts=("primary",), mediums=("sms", "inbox"), hours="business")
    with scope.platform("test"):
        policies.save(customer=jia, severity=Severity.WARNING, plan=plan, actor=lin, now=NOW)
    clock.now = night()
    for number in range(3):
        alarm(make_asset(jia, f"web-{number}"), severity=Severity.WARNING, key=f"a:{number}", now=clock())
    assert work("sms", clock) == 0
    with scope.platform("test"):
        held = Delivery.objects.filter(user=alice, medium="sms")
        assert {row.held_until for row in held} == {datetime(2026, 3, 3, 1, 0, tzinfo=NOW.tzinfo)}
        assert Delivery.objects.inbox_of(alice).filter(key__contains=":contact:").count() == 3
    clock.now = datetime(2026, 3, 3, 1, 0, 1, tzinfo=NOW.tzinfo)
    assert work("sms", clock) == 1
    assert len(exchange.placed) == 1
