"""When no channel of a customer takes anything, the provider hears it inside its own house (N7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Contact, Customer, User
from demo.robots import Robots, running
from incidents.models import EscalationStep, Incident
from incidents.services import outages
from notify.channels.outcome import Outcome, Verdict
from notify.models import Delivery, Outage
from notify.services import delivering
from notify.services.outbox import PERSONAL_MAIL
from tests.conftest import ClientFor
from tests.incidents.conftest import raise_incident
from tests.notify.conftest import Clock, drain, make_dingtalk, make_wecom, say
from timers.models import Timer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def robots(clock: Clock, settings: LazySettings) -> Iterator[Robots]:
    with running(clock=clock.seconds) as endpoint:
        settings.NOTIFY_DINGTALK_BASE = settings.NOTIFY_WECOM_BASE = endpoint.base
        settings.NOTIFY_ALLOWED_HOSTS = [endpoint.host]
        yield endpoint


def internal() -> list[Incident]:
    with scope.platform("test"):
        return list(Incident.objects.filter(kind="internal").order_by("pk"))


def test_it_opens_one_internal_incident_and_ends_it_when_something_arrives(
    jia: Customer, alice: User, chen: User, robots: Robots, clock: Clock, client_for: ClientFor
) -> None:
    chat = make_wecom(robots, jia)
    ding = make_dingtalk(robots, jia)
    ours = make_dingtalk(robots, None, token="ours")
    robots.book.wecom.clear()
    robots.book.dingtalk.pop("token-one")
    for number in (1, 2):
        say(jia, f"news:{number}", now=clock())
        drain(chat, clock)
        drain(ding, clock)
        clock.advance(minutes=1)
    assert internal() == []
    outages.watch(now=clock())
    outages.watch(now=clock())
    [found] = internal()
    assert (found.customer_id, found.severity, found.state) == (jia.pk, 2, "open")
    with scope.platform("test"):
        told = Delivery.objects.filter(about=f"incident:{found.pk}")
        assert set(told.filter(channel__isnull=False).values_list("channel", flat=True)) == {ours.pk}
        assert chen.pk in told.values_list("user", flat=True)
        assert not told.filter(user=alice).exists()
    assert client_for(alice).get(f"/incidents/{found.pk}/").status_code == 404

    robots.add_wecom("key-one")
    clock.advance(minutes=5)
    say(jia, "news:3", now=clock())
    drain(chat, clock)
    outages.watch(now=clock())
    [found] = internal()
    assert found.state == "closed"
    with scope.platform("test"):
        steps = EscalationStep.objects.filter(incident=found)
        assert steps.exists()  # the platform's own escalation ran
        assert not Timer.objects.pending().filter(task="incidents.escalate").exists()
        assert Outage.objects.get().is_settled


def test_one_channel_that_works_is_enough(jia: Customer, robots: Robots, clock: Clock) -> None:
    chat, ding = make_wecom(robots, jia), make_dingtalk(robots, jia)
    robots.book.dingtalk.clear()
    say(jia, now=clock())
    drain(ding, clock)
    drain(chat, clock)
    outages.watch(now=clock())
    assert internal() == []


def test_the_next_outage_is_another_incident(jia: Customer, robots: Robots, clock: Clock) -> None:
    chat = make_wecom(robots, jia)
    for number in range(2):
        robots.book.wecom.clear()
        say(jia, f"a{number}", now=clock())
        drain(chat, clock)
        outages.watch(now=clock())
        robots.add_wecom("key-one")
        clock.advance(minutes=2)
        say(jia, f"b{number}", now=clock())
        drain(chat, clock)
        clock.advance(minutes=2)
        outages.watch(now=clock())
    assert [incident.state for incident in internal()] == ["closed", "closed"]


@pytest.fixture
def contacts(jia: Customer, alice: User, bob: User) -> None:
    with scope.customer(jia):
        for kind, user in (("primary", alice), ("secondary", bob)):
            Contact.objects.create(customer=jia, kind=kind, user=user, phone="13811110001", email=user.email)


def mail(jia: Customer, outcome: Outcome, clock: Clock) -> None:
    """One mail to one of the customer's people ends like this."""
    with scope.platform("test"):
        claim = delivering.claim_next(lane=PERSONAL_MAIL, now=clock())
        while claim is not None and (claim.delivery.user is None or claim.delivery.user.customer_id != jia.pk):
            delivering.settle(claim.attempt, Outcome(Verdict.ACCEPTED, "250"), now=clock())
            claim = delivering.claim_next(lane=PERSONAL_MAIL, now=clock())
        assert claim is not None
        delivering.settle(claim.attempt, outcome, now=clock())


REFUSED = Outcome(Verdict.REFUSED, "550", "no such user")


def test_who_has_no_channel_and_whose_contacts_mails_all_fail_is_not_reached_either(
    jia: Customer, alice: User, contacts: None, clock: Clock
) -> None:
    raise_incident(alice, customer=jia, now=clock())
    mail(jia, REFUSED, clock)
    outages.watch(now=clock())
    assert internal() == [], "the other contact may still get theirs"
    mail(jia, REFUSED, clock)
    outages.watch(now=clock())
    [found] = internal()
    assert (found.customer_id, found.state) == (jia.pk, "open")
    clock.advance(minutes=5)
    raise_incident(alice, customer=jia, now=clock())
    mail(jia, Outcome(Verdict.ACCEPTED, "250"), clock)
    outages.watch(now=clock())
    assert [incident.state for incident in internal()] == ["closed"]


def test_a_contacts_mail_that_fails_is_no_outage_where_a_channel_or_another_contact_hears(
    jia: Customer, alice: User, contacts: None, robots: Robots, clock: Clock
) -> None:
    raise_incident(alice, customer=jia, now=clock())
    mail(jia, REFUSED, clock)
    mail(jia, Outcome(Verdict.ACCEPTED, "250"), clock)
    make_wecom(robots, jia)
    clock.advance(minutes=5)
    raise_incident(alice, customer=jia, now=clock())
    for _each in range(2):
        mail(jia, REFUSED, clock)
    outages.watch(now=clock())
    assert internal() == []


def test_a_customer_with_neither_a_channel_nor_a_contact_is_told_of_by_the_platform_until_one_is_entered(
    jia: Customer, yi: Customer, alice: User, clock: Clock
) -> None:
    outages.watch(now=clock())
    assert internal() == [], "there is no news"
    raise_incident(alice, customer=jia, now=clock())
    for _each in range(2):
        outages.watch(now=clock())
    [found] = internal()
    assert (found.customer_id, found.severity, found.state) == (jia.pk, 2, "open")
    clock.advance(minutes=5)
    with scope.customer(jia):
        Contact.objects.create(customer=jia, kind="primary", user=alice, phone="13811110001", email=alice.email)
    for _each in range(2):
        outages.watch(now=clock())
    assert [incident.state for incident in internal()] == ["closed"]


def test_before_its_service_begins_a_customer_may_still_lack_both(jia: Customer, alice: User, clock: Clock) -> None:
    raise_incident(alice, customer=jia, now=clock())
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(status=Customer.Status.ONBOARDING)
    outages.watch(now=clock())
    assert internal() == []
