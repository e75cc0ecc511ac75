"""An alert that comes and goes is told once as flapping, kept open, and ended when it has been quiet."""

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from incidents.models import TimelineEntry
from monitoring import tasks
from monitoring.models import Alert
from monitoring.rules import RULES
from monitoring.services import overrides, silence
from monitoring.services.overrides import Wish
from tests.monitoring.samples import START, alerts, feed, minute, server
from timers.models import Timer


@pytest.fixture(autouse=True)
def quickly(settings: LazySettings) -> None:
    settings.FLAP_CHANGES = 4


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


BAD, GOOD = [95.0] * 3, [10.0] * 3


def come_and_go(customer: Customer, web: Asset, times: int, start: int = 0) -> None:
    """Bad for three minutes, good for three minutes, each as a batch of its own."""
    for number in range(times):
        feed(customer, web, "host.cpu.util", BAD, start=start + 6 * number)
        feed(customer, web, "host.cpu.util", GOOD, start=start + 6 * number + 3)


def look(customer: Customer, alert: Alert, at: float) -> None:
    with scope.customer(customer):
        tasks.look_at_flapping.run(alert.pk, due_at=minute(at), now=minute(at))


def told(customer: Customer, kind: str) -> int:
    with scope.customer(customer):
        return TimelineEntry.objects.filter(kind=kind).count()


def test_the_fourth_change_within_an_hour_keeps_it_open_as_flapping(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 2)
    first, second = alerts(jia)
    assert first.ending == Alert.Ending.RECOVERED
    assert (second.is_open, second.is_calm, second.flapping_since) == (True, True, minute(11))


def test_while_it_flaps_nobody_is_told_of_every_change(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 2)
    before = told(jia, "alert"), told(jia, "recovery")
    come_and_go(jia, web, 5, start=12)
    assert len(alerts(jia)) == 2
    assert (told(jia, "alert"), told(jia, "recovery")) == before
    assert before == (3, 1)  # two alerts, that it flaps; the one recovery before


def test_calm_and_quiet_for_long_enough_it_has_recovered_when_it_last_changed(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 3)
    feed(jia, web, "host.cpu.util", [10.0] * 40, start=18)
    alert = alerts(jia)[-1]
    with scope.platform("look"):
        timer = Timer.objects.pending().get(task="monitoring.look_at_flapping")
    assert timer.due_at == minute(11 + 30)
    look(jia, alert, 41)
    assert alerts(jia)[-1].is_open
    look(jia, alert, 47)
    ended = alerts(jia)[-1]
    assert (ended.recovered_at, ended.ending) == (minute(17), Alert.Ending.RECOVERED)
    assert told(jia, "recovery") == 2


def test_a_figure_that_fell_silent_while_it_was_good_has_not_recovered(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 3)
    alert = alerts(jia)[-1]
    look(jia, alert, 120)
    assert alerts(jia)[-1].is_open


def test_bad_and_quiet_for_long_enough_it_simply_fires(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 2)
    feed(jia, web, "host.cpu.util", [95.0] * 40, start=12)
    alert = alerts(jia)[-1]
    assert not alert.is_calm
    look(jia, alert, 44)
    alert = alerts(jia)[-1]
    assert (alert.is_open, alert.flapping_since) == (True, None)
    feed(jia, web, "host.cpu.util", GOOD, start=80)
    assert alerts(jia)[-1].ending == Alert.Ending.RECOVERED


def test_reminders_come_ever_more_seldom(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 11)  # until minute 66, an hour and more after it began to flap
    alert, before = alerts(jia)[-1], told(jia, "alert")
    look(jia, alert, 71)
    look(jia, alert, 72)
    assert (alerts(jia)[-1].reminders, told(jia, "alert")) == (1, before + 1)


def test_slow_changes_are_not_flapping(jia: Customer, web: Asset) -> None:
    for start in (0, 70, 140):
        come_and_go(jia, web, 1, start=start)
    assert [alert.ending for alert in alerts(jia)] == [Alert.Ending.RECOVERED] * 3


def test_a_retired_asset_ends_even_what_flaps(jia: Customer, web: Asset) -> None:
    come_and_go(jia, web, 2)
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(retired_at=minute(13))
        silence.sweep(customer=jia, now=minute(13))
    assert alerts(jia)[-1].ending == Alert.Ending.RETIRED


def test_a_rule_has_limits_of_its_own_where_somebody_said_so(jia: Customer, web: Asset, chen: User) -> None:
    other = server(jia, "web-02")
    with scope.customer(jia):
        overrides.override(
            customer=jia, rule=RULES["host-cpu-util"], asset=web, wish=Wish(flap_changes=8), reason="a batch machine",
            actor=chen, now=START,
        )  # fmt: skip
    for asset in (web, other):
        come_and_go(jia, asset, 3)
    flapping = {alert.asset_id for alert in alerts(jia) if alert.flapping_since is not None}
    assert flapping == {other.pk}
    come_and_go(jia, web, 2, start=18)
    flapping = {alert.asset_id for alert in alerts(jia) if alert.flapping_since is not None}
    assert flapping == {web.pk, other.pk}


def test_a_shorter_window_of_a_rule_counts_no_older_changes(jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        overrides.override(
            customer=jia, rule=RULES["host-cpu-util"], wish=Wish(flap_window_s=300), reason="slow machines",
            actor=chen, now=START,
        )  # fmt: skip
    come_and_go(jia, web, 3)
    assert not any(alert.flapping_since for alert in alerts(jia)), "four changes take more than five minutes"
