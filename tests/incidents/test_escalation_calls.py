"""Steps that telephone, text and push: whom they reach, at which number, and what a pressed 1 does (R62, R64)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Assignment, Contact, Customer, Severity, User
from demo.aliyun.exchange import ANSWERS, PRESSES_ONE, Exchange
from demo.aliyun.server import CloudServer
from demo.push import PushService
from incidents import services
from incidents.escalation import Step, Who
from incidents.models import Incident
from incidents.services import answering, policies
from notify.channels import push, voice
from notify.models import Delivery
from notify.services import devices
from tests.conftest import NOW
from tests.incidents.conftest import raise_incident
from tests.incidents.test_escalation import MINUTE, POLICY, STEP_TASK, called, roster, states, steps, sweep, zhou  # noqa: F401 - fixtures
from tests.notify.conftest import Clock
from tests.notify.telephone import WITH_KEYS, exchange_running, set_up, work
from timers.models import Timer

FIRST, SECOND, MANAGER = "13811110001", "13811110002", "13811110003"
PRIMARY, SECONDARY = "13822220001", "13822220002"
Agree = Callable[..., None]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock, settings: LazySettings, db: None) -> Iterator[CloudServer]:
    """The provider has a number of its own: people of the provider may press a key."""
    with exchange_running(clock, settings) as running:
        set_up(running, **WITH_KEYS)
        yield running


@pytest.fixture
def exchange(server: CloudServer) -> Exchange:
    return server.cloud.exchange


@pytest.fixture
def agree(jia: Customer, roster: None, chen: User, zhou: User, lin: User) -> Agree:  # noqa: F811 - the fixtures
    """A policy with these steps; second and manager come after an hour unless they are named."""
    with scope.platform("test"):
        for person, number in ((chen, FIRST), (zhou, SECOND), (lin, MANAGER)):
            User.objects.filter(pk=person.pk).update(phone=number)

    def agreed(*first: Step) -> None:
        named = {step.who for step in first}
        late = [Step(60, who, ("inbox",)) for who in (Who.FIRST, Who.SECOND, Who.MANAGER) if who not in named]
        policy = replace(POLICY, steps=(*first, *late), rounds=1)
        with scope.customer(jia):
            policies.save(customer=jia, severity=Severity.HIGH, policy=policy, reason="test", actor=lin, now=NOW)

    return agreed


def placed(exchange: Exchange) -> list[tuple[str, str]]:
    return [(one.kind, one.number) for one in exchange.placed]


def hear(exchange: Exchange, clock: Clock) -> None:
    """The exchange pushes its receipts."""
    body = json.dumps(exchange.reports("voice")).encode()
    answering.take_reports(medium="voice", reports=voice.read_reports(body), now=clock())


def now_of(incident: Incident) -> Incident:
    with scope.platform("test"):
        return Incident.objects.select_related("acknowledged_by").get(pk=incident.pk)


def waits(incident: Incident) -> bool:
    """Its response clock runs, and steps are left."""
    with scope.platform("test"):
        clock = now_of(incident).response
        assert clock is not None
        is_left = Timer.objects.pending().filter(task=STEP_TASK).exists()
        assert is_left is ("pending" in states(incident))
        assert is_left is (clock.stopped_at is None)
        return is_left


def test_a_step_telephones_texts_and_pushes_whoever_is_on_duty(
    jia: Customer,
    alice: User,
    chen: User,
    agree: Agree,
    exchange: Exchange,
    clock: Clock,
    settings: LazySettings,
) -> None:
    agree(Step(0, Who.FIRST, ("voice", "sms", "push")))
    with PushService(clock=clock.seconds) as service:
        settings.NOTIFY_ALLOWED_HOSTS = [*settings.NOTIFY_ALLOWED_HOSTS, service.host]
        browser = service.subscribe(devices.application_key(NOW))
        devices.add(person=chen, device=push.Device(**browser.subscription), name="Chrome", now=NOW)
        incident = raise_incident(alice, customer=jia, now=clock())
        sweep(clock())
        for medium in ("voice", "sms", "push", "push"):
            work(medium, clock)
        shown = [one["title"] for one in browser.shown if incident.number in str(one["title"])]
    assert called(incident) == [("Chen", "voice"), ("Chen", "sms"), ("Chen", "push")]
    assert placed(exchange) == [("ivr", FIRST), ("sms", FIRST)]
    assert len(shown) == 1
    [outcome] = steps(incident, state="done")[0].outcome["people"]
    assert (outcome["name"], outcome["media"], outcome["missing"]) == ("Chen", ["voice", "sms", "push"], {})


@pytest.mark.parametrize(
    ("who", "name", "number"),
    [(Who.CUSTOMER_PRIMARY, "Alice", PRIMARY), (Who.CUSTOMER_SECONDARY, "Bob", SECONDARY)],
)
def test_a_step_telephones_and_texts_the_customers_contact_at_the_contracts_number(
    jia: Customer,
    alice: User,
    bob: User,
    agree: Agree,
    exchange: Exchange,
    clock: Clock,
    who: Who,
    name: str,
    number: str,
) -> None:
    with scope.platform("test"):
        for kind, user, phone in (("primary", alice, PRIMARY), ("secondary", bob, SECONDARY)):
            Contact.objects.create(customer=jia, kind=kind, user=user, phone=phone, email=user.email)
    agree(Step(0, who, ("voice", "sms")))
    incident = raise_incident(alice, customer=jia, now=clock())
    sweep(clock())
    work("voice", clock)
    work("sms", clock)
    assert called(incident) == [(name, "voice"), (name, "sms")]
    assert placed(exchange) == [("call", number), ("sms", number)], "a customer is asked for no key"


@pytest.fixture
def ringing(jia: Customer, alice: User, agree: Agree, exchange: Exchange, clock: Clock) -> Incident:
    """The first responder's telephone rings, and a 1 will be pressed; the second's would ring after five minutes."""
    agree(Step(0, Who.FIRST, ("voice",)), Step(5, Who.SECOND, ("voice",)))
    exchange.behave(FIRST, PRESSES_ONE)
    incident = raise_incident(alice, customer=jia, now=clock())
    sweep(clock())
    work("voice", clock)
    assert placed(exchange) == [("ivr", FIRST)]
    assert waits(incident)
    clock.advance(minutes=1)
    return incident


def test_pressing_1_takes_the_incident_stops_its_clock_and_nobody_else_is_called(
    jia: Customer, chen: User, ringing: Incident, exchange: Exchange, clock: Clock
) -> None:
    hear(exchange, clock)
    taken = now_of(ringing)
    assert (taken.state, taken.acknowledged_by, taken.acknowledged_at) == ("acknowledged", chen, NOW + MINUTE)
    assert not waits(ringing)
    assert states(ringing) == ["done", "cancelled", "cancelled"]
    with scope.platform("test"):
        assert taken.timeline.get(kind="acknowledged").data == {"via": "phone"}
    clock.advance(hours=2)
    sweep(clock())
    work("voice", clock)
    assert placed(exchange) == [("ivr", FIRST)]


def test_listening_without_a_key_changes_nothing(
    ringing: Incident, exchange: Exchange, clock: Clock, jia: Customer, alice: User
) -> None:
    exchange.reports("voice")  # of the call that was answered with a 1: lost
    exchange.behave(FIRST, ANSWERS)
    clock.advance(seconds=5)
    other = raise_incident(alice, customer=jia, now=clock())
    sweep(clock())
    work("voice", clock)
    hear(exchange, clock)
    assert now_of(other).state == "open"
    assert waits(other)


@pytest.mark.parametrize("lost", ["customer", "access"])
def test_whoever_lost_access_meanwhile_changes_nothing_by_a_key(
    ringing: Incident, chen: User, exchange: Exchange, clock: Clock, lost: str
) -> None:
    with scope.platform("test"):
        if lost == "customer":
            Assignment.objects.filter(user=chen, customer=ringing.customer).delete()
        else:
            User.objects.filter(pk=chen.pk).update(is_active=False)
    hear(exchange, clock)
    assert (now_of(ringing).state, now_of(ringing).acknowledged_by) == ("open", None)
    assert waits(ringing)
    with scope.platform("test"):
        assert Delivery.objects.get(key__startswith=f"incident:{ringing.pk}:step:", medium="voice").state == "delivered"
    clock.advance(minutes=5)
    sweep(clock())
    work("voice", clock)
    assert placed(exchange)[1:] == [("ivr", SECOND)], "the next one is called"


def test_a_key_that_comes_second_leaves_it_to_whoever_was_first(
    jia: Customer, ringing: Incident, lin: User, exchange: Exchange, clock: Clock
) -> None:
    with scope.customer(jia):
        services.acknowledge(incident=ringing, actor=lin, now=clock())
    clock.advance(seconds=5)
    hear(exchange, clock)
    taken = now_of(ringing)
    assert (taken.acknowledged_by, taken.acknowledged_at) == (lin, NOW + MINUTE)
    with scope.platform("test"):
        assert taken.timeline.filter(kind="acknowledged").count() == 1
