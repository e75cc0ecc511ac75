"""Silences: recorded, not told; told at the end; recovery of what was told is never hidden."""

from collections.abc import Iterable
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from accounts.windows import Once, Weekly, Window
from assets.models import Asset
from incidents.models import Incident, TimelineEntry
from monitoring import tasks
from monitoring.matching import Scope, read_labels
from monitoring.models import AlertHold, AssetGroup, AssetGroupMember, Held, Silence
from monitoring.services import acks, silences
from tests.monitoring.samples import START, alerts, feed, minute, server
from timers.models import Timer

ALL = Scope()


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def quiet(
    customer: Customer,
    actor: User,
    *,
    start: float = 0,
    end: float = 60,
    about: Scope = ALL,
    windows: Iterable[Window] | None = None,
    now: float = 0,
) -> Silence:
    with scope.customer(customer):
        return silences.create(
            customer=customer,
            reason="patching",
            windows=list(windows or [Once(minute(start), minute(end))]),
            scope=about,
            actor=actor,
            now=minute(now),
        )


def turn(customer: Customer, silence: Silence, at: float) -> None:
    with scope.customer(customer):
        tasks.silence_turns.run(silence.pk, due_at=minute(at), now=minute(at))


def incidents_of(customer: Customer) -> int:
    with scope.customer(customer):
        return Incident.objects.count()


def due(silence: Silence) -> datetime | None:
    with scope.platform("look"):
        timer = Timer.objects.pending().filter(key=f"silence:{silence.pk}.").first()
        return timer.due_at if timer else None


def reminders(customer: Customer) -> int:
    with scope.customer(customer):
        return TimelineEntry.objects.filter(data__again=True).count()


def test_an_alert_in_a_silence_is_recorded_and_not_told(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    (alert,) = alerts(jia)
    assert (alert.held, alert.incident_id) == (Held.SILENCED, None)
    assert incidents_of(jia) == 0
    with scope.customer(jia):
        assert AlertHold.objects.get().silence_id == silence.pk


def test_what_still_fires_at_the_end_is_told_then(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    assert due(silence) == minute(60)
    turn(jia, silence, 60)
    (alert,) = alerts(jia)
    assert (alert.held, alert.incident_id is not None) == ("", True)
    assert due(silence) is None
    with scope.customer(jia):
        incident = Incident.objects.get()
        assert (incident.opened_at, incident.detected_at) == (minute(60), minute(3))
        assert AlertHold.objects.get().until_at == minute(60)


def test_what_recovered_meanwhile_is_never_told(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    feed(jia, web, "host.cpu.util", [95, 95, 95, 10, 10, 10], start=1)
    turn(jia, silence, 60)
    assert incidents_of(jia) == 0
    assert not alerts(jia)[0].is_open


def test_a_silence_never_hides_the_recovery_of_what_was_told(jia: Customer, web: Asset, chen: User) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    quiet(jia, chen, start=3, end=60, now=3)
    (alert,) = alerts(jia)
    assert (alert.held, alert.incident_id is not None) == (Held.SILENCED, True)
    feed(jia, web, "host.cpu.util", [10, 10, 10], start=4)
    with scope.customer(jia):
        assert TimelineEntry.objects.filter(kind="recovery").count() == 1


def test_what_was_told_before_and_fires_at_the_end_is_told_again(jia: Customer, web: Asset, chen: User) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    silence = quiet(jia, chen, start=3, end=60, now=3)
    turn(jia, silence, 60)
    assert (incidents_of(jia), reminders(jia)) == (1, 1)


def test_what_somebody_has_in_hand_is_not_told_again(jia: Customer, web: Asset, chen: User) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    silence = quiet(jia, chen, start=3, end=60, now=3)
    with scope.customer(jia):
        acks.acknowledge(alerts=alerts(jia), actor=chen, now=minute(5))
    turn(jia, silence, 60)
    assert reminders(jia) == 0


def test_ending_early_is_like_running_out_and_can_be_taken_back(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    with scope.customer(jia):
        silences.end(silence=silence, actor=chen, now=minute(10))
        assert incidents_of(jia) == 1
        assert due(silence) is None
        silences.resume(silence=silence, actor=chen, now=minute(11))
        assert alerts(jia)[0].held == Held.SILENCED
        assert due(silence) == minute(60)
        silences.end(silence=silence, actor=chen, now=minute(12))
        with pytest.raises(DomainError):
            silences.resume(silence=silence, actor=chen, now=minute(61))


def test_a_silence_that_is_over_is_kept(jia: Customer, chen: User) -> None:
    quiet(jia, chen, end=5)
    with scope.customer(jia):
        assert Silence.objects.standing(minute(5)).count() == 0
        assert Silence.objects.over(minute(5)).count() == 1


def test_a_weekly_silence_wakes_at_each_turn(jia: Customer, web: Asset, chen: User) -> None:
    night = Weekly(frozenset({0}), time(22), time(6), ZoneInfo("Asia/Shanghai"))  # 14:00 to 22:00 UTC on Monday
    silence = quiet(jia, chen, windows=[night])
    assert due(silence) == minute(12 * 60)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    assert incidents_of(jia) == 1
    turn(jia, silence, 12 * 60)
    assert (alerts(jia)[0].held, due(silence)) == (Held.SILENCED, minute(20 * 60))
    turn(jia, silence, 20 * 60)
    assert (alerts(jia)[0].held, due(silence)) == ("", minute((12 + 7 * 24) * 60))


def test_the_start_is_inside_and_the_end_outside(jia: Customer, web: Asset, chen: User) -> None:
    quiet(jia, chen, start=3, end=10)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)  # fires in minute 3
    assert alerts(jia)[0].held == Held.SILENCED
    other = server(jia, "web-02")
    feed(jia, other, "host.cpu.util", [95, 95, 95], start=8)  # fires in minute 10
    assert alerts(jia)[1].held == ""


@pytest.mark.parametrize(
    ("about", "silent"),
    [
        (Scope(rule_ids=frozenset({"host-mem-util"})), ["host-mem-util"]),
        (Scope(labels={"mountpoint": "/data"}), []),
        (Scope(rule_ids=frozenset({"ping-unreachable"})), []),
    ],
)
def test_a_silence_is_about_what_it_says(
    jia: Customer, web: Asset, chen: User, about: Scope, silent: list[str]
) -> None:
    quiet(jia, chen, about=about)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    feed(jia, web, "host.mem.util", [95, 95, 95], start=1)
    assert [alert.rule_id for alert in alerts(jia) if alert.held] == silent


def test_a_silence_of_one_asset_or_group_leaves_the_others_loud(jia: Customer, web: Asset, chen: User) -> None:
    other, third = server(jia, "web-02"), server(jia, "web-03")
    with scope.customer(jia):
        group = AssetGroup.objects.create(customer=jia, name="blue", rank=1, changed_at=START)
        AssetGroupMember.objects.create(customer=jia, group=group, asset=other)
    quiet(jia, chen, about=Scope(asset_ids=frozenset({web.pk}), group_ids=frozenset({group.pk})))
    for asset in (web, other, third):
        feed(jia, asset, "host.cpu.util", [95, 95, 95], start=1)
    assert [alert.asset_id for alert in alerts(jia) if not alert.held] == [third.pk]


def test_the_silence_of_one_customer_leaves_the_other_loud(jia: Customer, yi: Customer, chen: User) -> None:
    quiet(jia, chen)
    feed(yi, server(yi), "host.cpu.util", [95, 95, 95], start=1)
    assert alerts(yi)[0].held == ""


def test_two_silences_both_have_to_end(jia: Customer, web: Asset, chen: User) -> None:
    first, second = quiet(jia, chen, end=10), quiet(jia, chen, end=20)
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    turn(jia, first, 10)
    assert incidents_of(jia) == 0
    turn(jia, second, 20)
    assert incidents_of(jia) == 1


def test_a_change_silences_its_own_assets_and_takes_its_silence_along(jia: Customer, web: Asset, chen: User) -> None:
    other = server(jia, "web-02")
    with scope.customer(jia):
        first = silences.for_change(
            change_key="CHG-7", assets=[web], start=minute(0), end=minute(30), actor=chen, now=minute(0)
        )
        silences.for_change(
            change_key="CHG-7", assets=[web], start=minute(0), end=minute(90), actor=chen, now=minute(1)
        )
        first.refresh_from_db()
        assert first.ended_at == minute(1)
    for asset in (web, other):
        feed(jia, asset, "host.cpu.util", [95, 95, 95], start=1)
    assert [alert.held for alert in alerts(jia)] == [Held.SILENCED, ""]
    with scope.customer(jia):
        silences.end_change(change_key="CHG-7", customer=jia, actor=None, now=minute(5))
    assert incidents_of(jia) == 2


def test_the_preview_counts_alerts_and_assets(jia: Customer, web: Asset) -> None:
    server(jia, "web-02")
    feed(jia, web, "host.cpu.util", [95, 95, 95], start=1)
    with scope.customer(jia):
        assert silences.preview(customer=jia, scope=ALL) == silences.Preview(1, 2, ("web-01", "web-02"))
        one = silences.preview(customer=jia, scope=Scope(asset_ids=frozenset({web.pk}), rule_ids=frozenset({"x"})))
        assert (one.alerts, one.assets) == (0, 1)


def test_who_silences_and_why_is_on_record(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    with scope.customer(jia):
        silences.end(silence=silence, actor=chen, now=minute(3))
        silences.end(silence=silence, actor=chen, now=minute(4))
    with scope.platform("look"):
        entries = AuditEntry.objects.filter(customer=jia, action__startswith="silence.").order_by("sequence")
        assert [(entry.action, entry.actor) for entry in entries] == [("silence.create", chen), ("silence.end", chen)]


@pytest.mark.parametrize(
    ("reason", "window"),
    [(" ", Once(minute(0), minute(9))), ("why not", Once(minute(-9), minute(-1)))],
)
def test_a_silence_without_reason_or_future_is_refused(jia: Customer, chen: User, reason: str, window: Window) -> None:
    with scope.customer(jia), pytest.raises(DomainError):
        silences.create(customer=jia, reason=reason, windows=[window], scope=ALL, actor=chen, now=minute(0))


def test_another_customers_asset_cannot_be_named(jia: Customer, yi: Customer, chen: User) -> None:
    theirs = server(yi)
    with pytest.raises(DomainError):
        quiet(jia, chen, about=Scope(asset_ids=frozenset({theirs.pk})))


def test_a_customers_own_people_do_not_silence(jia: Customer, alice: User) -> None:
    with pytest.raises(PermissionDenied):
        quiet(jia, alice)


def test_labels_are_read_with_what_was_escaped() -> None:
    assert read_labels(r'device="vda1",mountpoint="/a \"b\" \\c"') == {"device": "vda1", "mountpoint": '/a "b" \\c'}
