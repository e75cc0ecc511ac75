"""Alerts and rules as people and machines see them, and what a customer wants otherwise."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from assets.models import Asset
from monitoring.models import Alert, RuleOverride
from monitoring.rules import RULES
from monitoring.services import overrides, silence
from monitoring.services.overrides import Wish
from tests.conftest import ClientFor
from tests.monitoring.samples import START, alerts, feed, minute, server

CPU = RULES["host-cpu-util"]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def alert(jia: Customer, web: Asset) -> Alert:
    feed(jia, web, "host.cpu.util", [20, 95, 96, 97])
    return alerts(jia)[0]


def override(customer: Customer, actor: User, wish: Wish, asset: Asset | None = None) -> RuleOverride:
    with scope.customer(customer):
        return overrides.override(
            customer=customer, rule=CPU, asset=asset, wish=wish, reason="batch host", actor=actor, now=START
        )


# --- overrides ------------------------------------------------------------------------------------------------------


def test_a_raised_threshold_takes_effect_with_the_next_batch(jia: Customer, web: Asset, chen: User) -> None:
    feed(jia, web, "host.cpu.util", [95, 95])
    override(jia, chen, Wish(thresholds=(99.0,)))
    assert feed(jia, web, "host.cpu.util", [95, 95, 95], start=2).opened == 0
    assert feed(jia, web, "host.cpu.util", [99.5] * 3, start=5).opened == 1


def test_an_override_of_one_asset_leaves_the_others_alone(jia: Customer, web: Asset, chen: User) -> None:
    other = server(jia, "web-02")
    feed(jia, web, "host.cpu.util", [1])
    override(jia, chen, Wish(times=1, severity=Severity.DISASTER), web)
    assert feed(jia, web, "host.cpu.util", [95], start=1).opened == 1
    assert feed(jia, other, "host.cpu.util", [95], start=1).opened == 0
    assert alerts(jia)[0].severity == Severity.DISASTER


def test_an_override_of_one_customer_leaves_the_other_alone(jia: Customer, yi: Customer, chen: User) -> None:
    override(jia, chen, Wish(enabled=False))
    assert feed(yi, server(yi), "host.cpu.util", [95, 95, 95]).opened == 1
    assert feed(jia, server(jia), "host.cpu.util", [95, 95, 95]).opened == 0


def test_switching_a_rule_off_ends_its_open_alerts(jia: Customer, alert: Alert, chen: User) -> None:
    override(jia, chen, Wish(enabled=False))
    with scope.customer(jia):
        silence.sweep(customer=jia, now=minute(4))
    assert alerts(jia)[0].ending == Alert.Ending.RULE_OFF


def test_an_override_taken_back_leaves_its_history_and_an_audit_entry(jia: Customer, chen: User) -> None:
    row = override(jia, chen, Wish(times=5))
    override(jia, chen, Wish(times=6))
    with scope.customer(jia):
        row = RuleOverride.objects.get()
        overrides.restore(override=row, reason="over", actor=chen, now=START)
        assert not RuleOverride.objects.exists()
        history = RuleOverride.history.filter(customer=jia).order_by("history_date")
        assert [(past.history_type, past.times, past.history_user) for past in history] == [
            ("+", 5, chen), ("~", 6, chen), ("-", 6, chen),
        ]  # fmt: skip
    with scope.platform("look"):
        actions = list(
            AuditEntry.objects.filter(customer=jia, action__startswith="rule.").values_list("action", flat=True)
        )
        assert sorted(actions) == ["rule.override", "rule.override", "rule.restore"]


def test_an_override_needs_a_reason_and_a_difference(jia: Customer, chen: User) -> None:
    with scope.customer(jia):
        for given, reason in ((Wish(times=5), " "), (Wish(), "why not")):
            with pytest.raises(DomainError):
                overrides.override(customer=jia, rule=CPU, asset=None, wish=given, reason=reason, actor=chen, now=START)


def test_a_customers_own_people_do_not_change_rules(jia: Customer, alice: User) -> None:
    with pytest.raises(PermissionDenied):
        override(jia, alice, Wish(enabled=False))


# --- pages ----------------------------------------------------------------------------------------------------------


def test_everybody_of_the_customer_sees_its_alerts(alert: Alert, vera: User, client_for: ClientFor) -> None:
    page = client_for(vera).get("/monitoring/alerts/")
    assert alert.title in page.content.decode()


def test_the_alerts_of_another_customer_do_not_exist(alert: Alert, eve: User, client_for: ClientFor) -> None:
    browser = client_for(eve)
    assert alert.title not in browser.get("/monitoring/alerts/").content.decode()
    assert browser.get(f"/monitoring/alerts/{alert.pk}/").status_code == 404
    assert browser.get(f"/monitoring/for-incident/{alert.incident_id}/").status_code == 404
    assert browser.get(f"/api/v1/alerts/{alert.pk}/").status_code == 404
    assert browser.get("/api/v1/alerts/").json()["results"] == []


def test_an_alert_shows_the_points_that_fired_it_and_both_readings_of_its_rule(
    alert: Alert, chen: User, client_for: ClientFor
) -> None:
    page = client_for(chen).get(f"/monitoring/alerts/{alert.pk}/").content.decode()
    for text in ("97 %", "连续三次&gt;=90%", "host.cpu.util &gt;= 90 %", "web-01"):
        assert text in page


def test_the_incident_shows_its_alerts_with_their_lines(alert: Alert, alice: User, client_for: ClientFor) -> None:
    page = client_for(alice).get(f"/monitoring/for-incident/{alert.incident_id}/").content.decode()
    assert alert.title in page
    assert "<polyline" in page


def test_alerts_can_be_filtered_and_exported(jia: Customer, alert: Alert, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    assert alert.title not in browser.get("/monitoring/alerts/?state=ended").content.decode()
    assert alert.title in browser.get("/monitoring/alerts/?state=open&product=Linux/Windows").content.decode()
    exported = browser.get("/monitoring/alerts/?export=csv")
    assert exported["Content-Type"].startswith("text/csv")
    assert "host-cpu-util" in exported.content.decode()


def test_the_search_finds_alerts_by_asset(alert: Alert, chen: User, client_for: ClientFor) -> None:
    assert alert.title in client_for(chen).get("/monitoring/search/?q=web-01").content.decode()


def test_the_api_gives_the_samples_that_fired_an_alert(alert: Alert, chen: User, client_for: ClientFor) -> None:
    (row,) = client_for(chen).get("/api/v1/alerts/?open=true&severity=3").json()["results"]
    assert (row["rule_id"], row["metric"], row["recovered_at"]) == ("host-cpu-util", "host.cpu.util", None)
    assert [value for _, value in row["samples"]] == [95, 96, 97]
    assert client_for(chen).get("/api/v1/alerts/?open=false").json()["results"] == []


def test_all_rules_are_listed_with_the_sows_text_and_the_reason_for_each_deviation(
    lin: User, client_for: ClientFor
) -> None:
    page = client_for(lin).get("/monitoring/rules/").content.decode()
    assert page.count("data-row") == len(RULES)
    assert "运行时长的变化量" in page
    deviating = client_for(lin).get("/monitoring/rules/?only=deviating").content.decode()
    assert deviating.count("data-row") == sum(rule.deviates for rule in RULES.values())


def test_a_manager_changes_a_threshold_for_one_customer(jia: Customer, lin: User, client_for: ClientFor) -> None:
    browser = client_for(lin)
    address = f"/monitoring/rules/host-cpu-util/?customer={jia.pk}"
    assert 'name="threshold_0"' in browser.get(address).content.decode()
    saved = browser.post(address, {"threshold_0": "97", "reason": "批处理主机"})
    assert saved.status_code == 302
    with scope.customer(jia):
        row = RuleOverride.objects.get()
        assert (row.thresholds, row.reason, row.changed_by) == ([97.0], "批处理主机", lin)
    page = browser.get(address).content.decode()
    assert "≥ 97 %" in page
    assert "批处理主机" in page


def test_a_customer_sees_its_rules_and_cannot_change_them(jia: Customer, alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    assert 'name="threshold_0"' not in browser.get("/monitoring/rules/host-cpu-util/").content.decode()
    assert browser.post("/monitoring/rules/host-cpu-util/", {"threshold_0": "1"}).status_code == 403


def test_the_rules_of_a_customer_out_of_reach_are_not_found(chen: User, client_for: ClientFor) -> None:
    assert client_for(chen).get(f"/monitoring/rules/host-cpu-util/?customer={10**6}").status_code == 404


def test_a_line_is_drawn_for_an_alert_that_lasted_for_days(
    jia: Customer, alert: Alert, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        Alert.objects.filter(pk=alert.pk).update(recovered_at=minute(0) + timedelta(days=9), ending="recovered")
    assert client_for(chen).get(f"/monitoring/for-incident/{alert.incident_id}/").status_code == 200
