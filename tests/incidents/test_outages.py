"""When no channel of a customer takes anything, the provider hears it inside its own house (N7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, User
from demo.robots import Robots, running
from incidents.models import EscalationStep, Incident
from incidents.services import outages
from notify.models import Delivery, Outage
from tests.conftest import ClientFor
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
