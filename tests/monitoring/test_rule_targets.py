"""Which channels hear of an alert: those its rule names, else whichever listen (R46)."""

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.rules import RULES
from monitoring.services import overrides
from monitoring.services.overrides import Wish
from notify.models import Channel, Delivery
from tests.monitoring.samples import START, alerts, feed, server

pytestmark = pytest.mark.django_db


def robot(customer: Customer, name: str) -> Channel:
    with scope.customer(customer):
        return Channel.objects.create(
            customer=customer, kind=Channel.Kind.WEBHOOK, name=name, created_at=START, robot=name
        )  # fmt: skip


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01")


def tell_only(customer: Customer, actor: User, rule: str, *channels: Channel) -> None:
    wish = Wish(channels=tuple(channel.pk for channel in channels))
    with scope.customer(customer):
        overrides.override(customer=customer, rule=RULES[rule], wish=wish, reason="x", actor=actor, now=START)


def heard(customer: Customer) -> dict[str, int]:
    """How many messages each channel was sent."""
    with scope.customer(customer):
        names = Delivery.objects.filter(channel__isnull=False).values_list("channel__name", flat=True)
        return {name: list(names).count(name) for name in names}


def test_an_alert_is_told_where_its_rule_says_and_so_is_its_recovery(jia: Customer, web: Asset, chen: User) -> None:
    databases, _everybody = robot(jia, "databases"), robot(jia, "everybody")
    tell_only(jia, chen, "host-cpu-util", databases)
    feed(jia, web, "host.cpu.util", [95, 95, 95, 10, 10, 10])
    assert alerts(jia)[0].recovered_at is not None
    assert heard(jia) == {"databases": 2}


def test_another_rules_alert_on_the_same_incident_goes_to_all_who_listen(jia: Customer, web: Asset, chen: User) -> None:
    databases, _everybody = robot(jia, "databases"), robot(jia, "everybody")
    tell_only(jia, chen, "host-cpu-util", databases)
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    feed(jia, web, "host.mem.util", [95, 95, 95])
    assert len({alert.incident_id for alert in alerts(jia)}) == 1
    assert heard(jia) == {"databases": 2, "everybody": 1}


def test_when_the_named_channel_is_gone_all_who_listen_hear_it(jia: Customer, web: Asset, chen: User) -> None:
    databases, _everybody = robot(jia, "databases"), robot(jia, "everybody")
    tell_only(jia, chen, "host-cpu-util", databases)
    with scope.customer(jia):
        Channel.objects.filter(pk=databases.pk).update(is_active=False, retired_at=START)
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    assert heard(jia) == {"everybody": 1}


def test_another_customers_channel_cannot_be_named(jia: Customer, yi: Customer, chen: User) -> None:
    with pytest.raises(DomainError) as refused:
        tell_only(jia, chen, "host-cpu-util", robot(yi, "theirs"))
    assert refused.value.code == "channel_gone"
