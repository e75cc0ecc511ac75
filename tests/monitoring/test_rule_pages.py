"""The pages by which rules are made to hold otherwise, tried out, and explained."""

import itertools
import re
from datetime import timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.services import calendars
from assets.models import Asset
from monitoring.models import AssetGroup, ExpectedProcess, RuleMacro, RuleOverride, RuleSchedule, Series
from monitoring.rules import RULES
from monitoring.services import dry_run, groups, levels, macros, overrides, processes, rule_schedules, trials
from monitoring.services.overrides import Wish
from tests.conftest import ClientFor
from tests.monitoring.samples import START, alerts, feed, minute, server
from tests.monitoring.test_silences import quiet, turn

pytestmark = pytest.mark.django_db

CPU = RULES["host-cpu-util"]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01")


@pytest.fixture
def browser(chen: User, client_for: ClientFor) -> Client:
    return client_for(chen)


def rows(customer: Customer) -> list[RuleOverride]:
    with scope.customer(customer):
        return list(RuleOverride.objects.select_related("group", "asset", "schedule").order_by("pk"))


def make_group(customer: Customer, actor: User, name: str = "databases", **fields: Any) -> AssetGroup:
    with scope.customer(customer):
        return groups.save(customer=customer, group=None, name=name, actor=actor, now=START, **fields)


def override(customer: Customer, actor: User, wish: Wish, **place: Any) -> RuleOverride:
    with scope.customer(customer):
        return overrides.override(
            customer=customer, rule=place.pop("rule", CPU), wish=wish, reason="why", actor=actor, now=START, **place
        )


# --- the page of a rule ----------------------------------------------------------------------------------------------


def shown(browser: Client, rule_id: str, address: str = "") -> str:
    """What a rule's page says, without tags."""
    browser.cookies["django_language"] = "en"
    page = browser.get(f"/monitoring/rules/{rule_id}/{address}").content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_a_rules_page_has_the_contracts_words_beside_what_is_evaluated_and_why_they_differ(browser: Client) -> None:
    rule = RULES["nginx-restarted"]
    page = shown(browser, rule.id)
    assert rule.sow.text in page
    assert rule.sow.text == "每分钟检测一次, 连续三次<0"
    assert "nginx.requests" in page
    assert f"Other than the SOW's letter, because: {rule.reason_en}" in page


def test_a_rule_that_follows_the_letter_has_no_reason(browser: Client) -> None:
    page = shown(browser, CPU.id)
    assert CPU.sow.text in page
    assert "≥ 90 %" in page
    assert "Other than the SOW's letter" not in page


def test_what_a_customer_has_otherwise_stands_beside_the_contracts_words(
    browser: Client, jia: Customer, chen: User
) -> None:
    override(jia, chen, Wish(thresholds=(50.0,), recovery=(40.0,), times=5))
    page = shown(browser, CPU.id, f"?customer={jia.pk}")
    assert CPU.sow.text in page
    assert "≥ 50 %" in page
    assert "< 40 %" in page


# --- overrides through the form --------------------------------------------------------------------------------------


def test_a_rule_is_changed_for_a_group_with_a_recovery_of_its_own(
    browser: Client, jia: Customer, web: Asset, chen: User
) -> None:
    group = make_group(jia, chen, assets=[web])
    form = {
        "place": f"group:{group.pk}", "threshold_0": "70", "recovery_0": "40", "recovery_times": "2", "times": "2",
        "schedule": "always", "flap_changes": "12", "flap_window_s": "7200", "reason": "small machines",
    }  # fmt: skip
    answer = browser.post(f"/monitoring/rules/{CPU.id}/?customer={jia.pk}", form)
    assert answer.status_code == 302
    (row,) = rows(jia)
    assert (row.group, row.thresholds, row.recovery, row.recovery_times, row.times) == (group, [70.0], [40.0], 2, 2)
    assert row.round_the_clock
    assert (row.flap_changes, row.flap_window_s) == (12, 7200)
    page = browser.get(f"/monitoring/rules/{CPU.id}/?customer={jia.pk}").content.decode()
    assert "12 × / 7200 s" in page
    feed(jia, web, "host.cpu.util", [75, 75, 50, 50, 39, 39])
    (alert,) = alerts(jia)
    assert (alert.opened_at, alert.recovered_at) == (minute(1), minute(5))


def test_a_part_of_an_asset_has_a_threshold_of_its_own(browser: Client, jia: Customer, web: Asset) -> None:
    rule = "host-fs-inode-free"
    for mount in ("/", "/data"):
        feed(jia, web, "host.fs.inode_free_pct", [50], labels={"mountpoint": mount}, start=-1)
    place = f'asset:{web.pk}:mountpoint="/data"'
    answer = browser.post(
        f"/monitoring/rules/{rule}/?customer={jia.pk}", {"place": place, "threshold_0": "60", "reason": "mail spool"}
    )
    assert answer.status_code == 302
    for mount in ("/", "/data"):
        feed(jia, web, "host.fs.inode_free_pct", [50, 50, 50], labels={"mountpoint": mount})
    assert [alert.labels for alert in alerts(jia)] == ['mountpoint="/data"']


@pytest.mark.parametrize(
    "form", [{"threshold_0": "{$CPU.HIGH}"}, {"threshold_0": "ninety"}, {"recovery_0": "95"}, {"times": "0"}, {}]
)
def test_what_cannot_be_meant_is_said_on_the_form_and_nothing_is_saved(
    browser: Client, jia: Customer, web: Asset, form: dict[str, str]
) -> None:
    answer = browser.post(f"/monitoring/rules/{CPU.id}/?customer={jia.pk}", {**form, "reason": "x"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "ti-alert-octagon" in page or "invalid-feedback" in page
    assert rows(jia) == []


def test_an_override_of_the_history_is_brought_back(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    row = override(jia, chen, Wish(thresholds=(77.0,), recovery=(60.0,)), asset=web)
    override(jia, chen, Wish(thresholds=(88.0,)), asset=web)
    with scope.customer(jia):
        overrides.restore(override=rows(jia)[0], reason="off", actor=chen, now=START)
        past = RuleOverride.history.filter(id=row.pk).earliest()
    answer = browser.post(f"/monitoring/rules/{CPU.id}/bring-back/", {"past": past.history_id, "reason": "again"})
    assert answer.status_code == 302
    (back,) = rows(jia)
    assert (back.asset, back.thresholds, back.recovery) == (web, [77.0], [60.0])


def test_history_of_another_customer_is_not_brought_back(
    jia: Customer, web: Asset, chen: User, eve: User, client_for: ClientFor
) -> None:
    override(jia, chen, Wish(times=4))
    with scope.customer(jia):
        past = RuleOverride.history.latest()
    url = f"/monitoring/rules/{CPU.id}/bring-back/"
    assert client_for(eve).post(url, {"past": past.history_id, "reason": "x"}).status_code == 403


# --- groups ----------------------------------------------------------------------------------------------------------


def test_a_group_gathers_by_tag_and_kind_and_by_name(jia: Customer, web: Asset, chen: User) -> None:
    tagged = server(jia, "db-01", tags={"role": "db"})
    other = server(jia, "db-02", tags={"role": "web"})
    with scope.customer(jia):
        by_tag = make_group(jia, chen, "db", tag="role=db", kinds=["server"])
        by_name = make_group(jia, chen, "named", assets=[web])
        any_value = make_group(jia, chen, "roles", tag="role")
        assert [levels.members(group) for group in (by_tag, by_name, any_value)] == [[tagged], [web], [tagged, other]]


def test_of_two_contradicting_groups_the_upper_one_wins_and_the_order_can_be_changed(
    browser: Client, jia: Customer, web: Asset, chen: User
) -> None:
    upper, lower = make_group(jia, chen, "upper", assets=[web]), make_group(jia, chen, "lower", assets=[web])
    override(jia, chen, Wish(thresholds=(80.0,)), group=upper)
    override(jia, chen, Wish(thresholds=(60.0,)), group=lower)
    feed(jia, web, "host.cpu.util", [70, 70, 70])
    assert alerts(jia) == []
    assert browser.post(f"/monitoring/groups/{lower.pk}/move/", {"to": "up"}).status_code == 302
    feed(jia, web, "host.cpu.util", [70, 70, 70], start=3)
    assert len(alerts(jia)) == 1


def test_a_group_that_rules_speak_of_is_not_removed(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    group = make_group(jia, chen, assets=[web])
    override(jia, chen, Wish(times=2), group=group)
    browser.post(f"/monitoring/groups/{group.pk}/remove/")
    with scope.customer(jia):
        assert AssetGroup.objects.filter(pk=group.pk).exists()
        overrides.restore(override=rows(jia)[0], reason="over", actor=chen, now=START)
    browser.post(f"/monitoring/groups/{group.pk}/remove/")
    with scope.customer(jia):
        assert not AssetGroup.objects.filter(pk=group.pk).exists()


# --- macros ----------------------------------------------------------------------------------------------------------


def test_a_macro_is_used_by_a_threshold_and_the_threshold_follows_it(
    browser: Client, jia: Customer, web: Asset, chen: User
) -> None:
    url = f"/monitoring/macros/?customer={jia.pk}"
    assert browser.post(url, {"name": "cpu.high", "value": "60 %", "reason": "agreed"}).status_code == 302
    override(jia, chen, Wish(thresholds=("{$CPU.HIGH}",)))
    feed(jia, web, "host.cpu.util", [55, 55, 55])
    assert alerts(jia) == []
    assert browser.post(url, {"name": "{$CPU.HIGH}", "value": "50", "reason": "lower"}).status_code == 302
    feed(jia, web, "host.cpu.util", [55, 55, 55], start=3)
    assert len(alerts(jia)) == 1
    assert "host-cpu-util" in browser.get(url).content.decode()


def test_a_used_macro_is_not_deleted_unless_a_wider_one_remains(jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        common: dict[str, Any] = {"customer": jia, "name": "cpu.high", "reason": "x", "actor": chen, "now": START}
        wide = macros.save(value="60", **common)
        narrow = macros.save(value="70", asset=web, **common)
        override(jia, chen, Wish(thresholds=("{$CPU.HIGH}",)))
        macros.remove(macro=narrow, actor=chen, now=START)
        with pytest.raises(DomainError) as refused:
            macros.remove(macro=wide, actor=chen, now=START)
        assert refused.value.code == "macro_used"
        assert RuleMacro.objects.count() == 1


@pytest.mark.parametrize(("value", "code"), [("5 GiB", "macro_unit"), ("ninety", "macro_value")])
def test_a_macro_of_the_wrong_measure_is_refused(jia: Customer, chen: User, value: str, code: str) -> None:
    with scope.customer(jia), pytest.raises(DomainError) as refused:
        macros.save(customer=jia, name="x", value=value, reason="x", actor=chen, now=START)
        override(jia, chen, Wish(thresholds=("{$X}",)))
    assert refused.value.code == code


def test_a_macro_of_one_asset_does_not_serve_the_whole_customer(jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        macros.save(customer=jia, name="x", value="50", asset=web, reason="x", actor=chen, now=START)
        with pytest.raises(DomainError) as refused:
            override(jia, chen, Wish(thresholds=("{$X}",)))
        assert refused.value.code == "macro_unknown"
        override(jia, chen, Wish(thresholds=("{$X}",)), asset=web)


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_rule_keeps_to_the_customers_schedule(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    week = {f"day{day}": "10:05-18:00" for day in range(5)}  # the tests begin on a Monday at 10:00 in Shanghai
    url = f"/monitoring/schedules/?customer={jia.pk}"
    assert browser.post(url, {"name": "late start", "basis": "week", **week}).status_code == 302
    with scope.customer(jia):
        schedule = RuleSchedule.objects.get()
    override(jia, chen, Wish(schedule=schedule))
    feed(jia, web, "host.cpu.util", [95] * 5)
    assert alerts(jia) == []
    feed(jia, web, "host.cpu.util", [95], start=5)
    (alert,) = alerts(jia)
    assert (alert.opened_at, alert.first_breach_at) == (minute(5), minute(0))
    with scope.customer(jia), pytest.raises(DomainError):
        rule_schedules.remove(schedule=schedule, actor=chen, now=START)


def test_business_hours_follow_the_business_calendar(jia: Customer, chen: User) -> None:
    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=START)
    with scope.customer(jia):
        row = rule_schedules.save(
            customer=jia, schedule=None, name="business", basis="business", week=[["00:00-24:00"]] * 7,
            actor=chen, now=START,
        )  # fmt: skip
        schedule = levels.schedule_of(row)
    assert schedule.active_at(START)  # Monday 10:00
    assert not schedule.active_at(START + timedelta(hours=2, minutes=30))  # lunch: the calendar, not the week above
    assert not schedule.active_at(START.replace(month=10, day=1))  # national day


# --- processes -------------------------------------------------------------------------------------------------------


def test_expected_counts_are_the_thresholds_of_the_process_rule(browser: Client, jia: Customer, web: Asset) -> None:
    url = f"/monitoring/of-asset/{web.pk}/processes/"
    form = {"name": "worker", "pattern": r"^python .*worker\.py", "minimum": "2", "maximum": "4"}
    assert browser.post(url, form).status_code == 302
    labels = {"process": "worker"}
    feed(jia, web, "process.count", [2, 4, 2, 3], labels=labels)
    feed(jia, web, "process.count", [1, 1, 1], labels={"process": "nginx"})
    assert alerts(jia) == []
    feed(jia, web, "process.count", [1, 1, 1], labels=labels, start=4)
    feed(jia, web, "process.count", [2, 2, 2, 5, 5, 5, 4, 4, 4], labels=labels, start=7)
    assert [(alert.rule_id, alert.recovered_at is not None) for alert in alerts(jia)] == [
        ("process-not-running", True),
        ("process-too-many", True),
    ]
    page = browser.get(url).content.decode()
    assert "[[watch]]" in page
    assert "worker" in page


def test_a_process_that_need_not_run_alarms_only_above_its_maximum(jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        processes.expect(asset=web, name="cron-job", minimum=0, maximum=1, actor=chen, now=START)
    feed(jia, web, "process.count", [0, 0, 0, 0], labels={"process": "cron-job"})
    assert alerts(jia) == []
    feed(jia, web, "process.count", [2, 2, 2], labels={"process": "cron-job"}, start=4)
    assert [alert.rule_id for alert in alerts(jia)] == ["process-too-many"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "x", "minimum": 3, "maximum": 2}, "process_maximum"),
        ({"name": "x", "minimum": 0}, "process_none"),
        ({"name": 'x"y'}, "process_name"),
        ({"name": "x", "pattern": "("}, "process_pattern"),
    ],
)
def test_an_impossible_expectation_is_refused(
    jia: Customer, web: Asset, chen: User, fields: dict[str, Any], code: str
) -> None:
    with scope.customer(jia), pytest.raises(DomainError) as refused:
        processes.expect(asset=web, actor=chen, now=START, **fields)
    assert refused.value.code == code
    with scope.customer(jia):
        assert not ExpectedProcess.objects.exists()


# --- trying ----------------------------------------------------------------------------------------------------------


def test_trying_says_how_often_it_would_have_fired_and_changes_nothing(
    browser: Client, jia: Customer, web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(jia, web, "host.cpu.util", [70] * 5 + [20] * 5 + [70] * 5 + [20] * 5)
    monkeypatch.setattr("django.utils.timezone.now", lambda: minute(30))
    url = f"/monitoring/rules/{CPU.id}/try/?customer={jia.pk}"
    page = browser.post(url, {"threshold_0": "60"}, HTTP_HX_REQUEST="true").content.decode()
    assert "<strong>2</strong>" in page
    assert "dry-run-data" in page
    assert (rows(jia), alerts(jia)) == ([], [])


def test_trying_agrees_with_what_live_data_did(jia: Customer, web: Asset, chen: User) -> None:
    override(jia, chen, Wish(thresholds=(60.0,), times=2), asset=web)
    feed(jia, web, "host.cpu.util", [70, 70, 20, 20, 70, 20, 70, 70, 70, 20, 20])
    with scope.customer(jia):
        tried = dry_run.try_rule(customer=jia, rule=CPU, now=minute(20))
    live = alerts(jia)
    assert [(one.opened_at, one.closed_at) for one in reversed(tried.fired)] == [
        (alert.opened_at, alert.recovered_at) for alert in live
    ]
    assert (tried.count, tried.samples, tried.assets_fired) == (2, 11, 1)
    assert tried.is_complete


def test_trying_stops_when_its_time_is_up_and_says_so(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95] * 3)
    with scope.customer(jia):
        tried = dry_run.try_rule(customer=jia, rule=CPU, now=minute(5), limit_s=-1)
    assert (tried.assets, tried.assets_seen, tried.is_complete) == (1, 0, False)


@pytest.fixture
def long(jia: Customer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three assets, each of which a look takes: the address where a trial of them goes on is in the page."""
    for name in ("web-01", "web-02", "web-03"):
        feed(jia, server(jia, name), "host.cpu.util", [70] * 5 + [20] * 5)
    monkeypatch.setattr("django.utils.timezone.now", lambda: minute(30))
    monkeypatch.setattr(dry_run, "ASSETS_AT_ONCE", 1)
    monkeypatch.setattr(trials, "STRETCH_S", 0.5)
    ticks = itertools.count()
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 2))  # one part a stretch
    return f"/monitoring/rules/{CPU.id}/try/?customer={jia.pk}"


def going_on(page: str) -> str:
    found = re.search(r'hx-post="(/monitoring/dry-runs/[0-9a-f]+/)"', page)
    return found.group(1) if found else ""


def test_a_long_trial_says_how_far_it_is_until_it_is_through(browser: Client, long: str) -> None:
    page = browser.post(long, {"threshold_0": "60"}).content.decode()
    address, shown = going_on(page), []
    while going_on(page):
        assert going_on(page) == address
        shown += re.findall(r'<progress class="bar" value="(\d)" max="3"', page)
        page = browser.post(address).content.decode()
    assert shown == sorted(set(shown))
    assert len(shown) >= 2
    assert "<strong>3</strong>" in page
    assert "dry-run-data" in page
    assert going_on(browser.post(address).content.decode()) == ""  # it is over


def test_a_trial_that_is_cancelled_keeps_what_it_found(browser: Client, long: str) -> None:
    address = going_on(browser.post(long, {"threshold_0": "60"}).content.decode())
    browser.post(address)
    page = browser.post(address, {"cancel": "1"}).content.decode()
    assert going_on(page) == ""
    assert "alert-warning" in page
    assert "<strong>" in page
    assert "<progress" not in browser.post(address).content.decode()


def test_a_trial_is_gone_on_with_by_who_began_it_only(
    browser: Client, long: str, eve: User, vera: User, client_for: ClientFor
) -> None:
    address = going_on(browser.post(long, {"threshold_0": "60"}).content.decode())
    for body in ({}, {"cancel": "1"}):
        page = client_for(eve).post(address, body).content.decode()
        assert "<strong>" not in page
        assert "<progress" not in page
    assert client_for(vera).post(address).status_code == 403
    assert going_on(browser.post(address).content.decode()) == address


def test_a_stranger_tries_nothing(jia: Customer, web: Asset, eve: User, client_for: ClientFor) -> None:
    feed(jia, web, "host.cpu.util", [95] * 3)
    page = client_for(eve).post(f"/monitoring/rules/{CPU.id}/try/?customer={jia.pk}").content.decode()
    assert "<strong>" not in page  # her own customer has no figures, and jia's is not asked for


# --- why -------------------------------------------------------------------------------------------------------------


def why(browser: Client, asset: Asset, at: float, rule: str = CPU.id) -> str:
    with scope.customer(asset.customer_id):
        series = Series.objects.get(asset=asset, metric=RULES[rule].metrics[0])
    ms = round(minute(at).timestamp() * 1000)
    return browser.get(f"/monitoring/why/{series.pk}/{rule}/?at={ms}").content.decode()


def test_why_shows_each_point_and_what_became_of_it(browser: Client, jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 20, 95, 95, 95])
    page = why(browser, web, 5)
    assert page.count("bg-red-lt") == 5
    assert "2/3" in page
    assert "3/3" not in page  # the third opens: from there recovery is counted
    assert "0/3" in page


def test_why_names_the_level_that_said_so(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    group = make_group(jia, chen, "云上机器", assets=[web])
    override(jia, chen, Wish(thresholds=(50.0,)), group=group)
    feed(jia, web, "host.cpu.util", [55])
    assert "云上机器" in why(browser, web, 0)
    assert "云上机器" in browser.get(f"/monitoring/of-asset/{web.pk}/rules/").content.decode()


def test_why_says_that_a_rule_is_off(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    override(jia, chen, Wish(enabled=False), asset=web)
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    page = why(browser, web, 2)
    assert "ti-bell-off" in page
    assert "bg-red-lt" not in page


def test_why_names_the_silence_that_held_it_back_while_it_stood(
    browser: Client, jia: Customer, web: Asset, chen: User
) -> None:
    silence = quiet(jia, chen, end=10)
    feed(jia, web, "host.cpu.util", [95] * 3, start=1)
    held = why(browser, web, 5)
    assert "patching" in held
    assert "bg-orange-lt" in held
    turn(jia, silence, 10)
    told = why(browser, web, 11)
    assert "patching" not in told
    assert "bg-orange-lt" not in told


def test_why_from_an_alert_leads_to_its_moment(browser: Client, jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    (alert,) = alerts(jia)
    answer = browser.get(f"/monitoring/alerts/{alert.pk}/why/")
    assert answer.status_code == 302
    assert answer["Location"].endswith(f"?at={round(alert.opened_at.timestamp() * 1000)}")
    assert f"/monitoring/alerts/{alert.pk}/" in browser.get(answer["Location"]).content.decode()


def test_a_customer_may_look_but_not_change(
    jia: Customer, web: Asset, vera: User, chen: User, client_for: ClientFor
) -> None:
    feed(jia, web, "host.cpu.util", [95])
    group = make_group(jia, chen, "数据库组", assets=[web])
    with scope.customer(jia):
        macros.save(customer=jia, name="cpu.high", value="60", reason="x", actor=chen, now=START)
        rule_schedules.save(
            customer=jia, schedule=None, name="夜间", basis="week", week=[["20:00-24:00"]] * 7, actor=chen, now=START
        )
        processes.expect(asset=web, name="gunicorn", actor=chen, now=START)
    override(jia, chen, Wish(thresholds=(50.0,)), group=group)
    browser = client_for(vera)
    shown = {
        "groups/": "数据库组",
        f"groups/{group.pk}/": "web-01",
        "macros/": "{$CPU.HIGH}",
        "schedules/": "夜间",
        f"of-asset/{web.pk}/rules/": "数据库组",
        f"of-asset/{web.pk}/processes/": "gunicorn",
        f"rules/{CPU.id}/": "数据库组",
    }
    for path, word in shown.items():
        answer = browser.get(f"/monitoring/{path}")
        assert answer.status_code == 200
        assert word in answer.content.decode(), path
        if "rules" not in path:
            assert browser.post(f"/monitoring/{path}", {"name": "x"}).status_code == 403
