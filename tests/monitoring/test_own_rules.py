"""A customer's own rules: on scripts' figures and others they fire, recover, are changed, tried and taken away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from monitoring.models import Alert, CustomRule
from monitoring.panels import panel, panels_for
from monitoring.services import own_rules
from tests.monitoring.samples import START, alerts, feed, minute, server

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
DEPTH = "custom.queue.depth"


def rule_for(customer: Customer, actor: User, **fields: object) -> CustomRule:
    values = {"name": "Queue too deep", "metric": DEPTH, "comparator": ">=", "threshold": 100.0, "reason": "asked for",
              "severity": Severity.HIGH, **fields}  # fmt: skip
    with scope.customer(customer):
        return own_rules.save(rule=CustomRule(customer=customer, **values), actor=actor, now=START)


def test_a_figure_of_a_script_is_an_alert_source_like_any_other(jia: Customer, chen: User) -> None:
    rule = rule_for(jia, chen)
    asset = server(jia)
    feed(jia, asset, DEPTH, [10, 120, 130, 140])
    [alert] = alerts(jia)
    assert (alert.rule_id, alert.severity, alert.is_open) == (rule.rule_id, Severity.HIGH, True)
    with scope.customer(jia):
        assert alert.rule_name == "Queue too deep"
        assert alert.incident is not None
        assert "Queue too deep" in alert.title
    feed(jia, asset, DEPTH, [20, 20, 20], start=4)
    [alert] = alerts(jia)
    assert alert.ending == "recovered"


def test_a_threshold_for_being_good_again_keeps_it_open_in_between(jia: Customer, chen: User) -> None:
    rule_for(jia, chen, recovery_threshold=50.0, times=1)
    asset = server(jia)
    feed(jia, asset, DEPTH, [120, 90, 80])
    assert alerts(jia)[0].is_open
    feed(jia, asset, DEPTH, [49], start=3)
    assert not alerts(jia)[0].is_open


def test_a_rule_may_be_for_one_asset_and_some_labels_only(jia: Customer, chen: User) -> None:
    first, other = server(jia, "a"), server(jia, "b")
    metric = "host.log.keyword_per_min"
    labels = {"log": "app", "file": "/var/log/app.log", "keyword": "OOM, killed"}
    rule_for(jia, chen, metric=metric, asset=first, labels='keyword="OOM, killed"', threshold=1.0, times=1)
    feed(jia, other, metric, [5], labels=labels)
    feed(jia, first, metric, [5], labels={**labels, "keyword": "WARN"})
    assert alerts(jia) == []
    feed(jia, first, metric, [5], labels=labels)
    assert [alert.asset_id for alert in alerts(jia)] == [first.pk]


def test_another_customers_figures_are_not_judged_by_it(jia: Customer, yi: Customer, chen: User) -> None:
    rule_for(jia, chen, times=1)
    feed(yi, server(yi), DEPTH, [500])
    assert alerts(yi) == []


def test_a_rule_on_a_figure_that_has_rules_already_stands_beside_them(jia: Customer, chen: User) -> None:
    rule_for(jia, chen, metric="host.mem.util", threshold=50.0)
    feed(jia, server(jia), "host.mem.util", [95, 95, 95])
    assert len({alert.rule_id for alert in alerts(jia)}) == 2


def test_a_change_holds_with_the_next_batch_and_leaves_its_history(jia: Customer, chen: User) -> None:
    rule = rule_for(jia, chen, times=1)
    asset = server(jia)
    feed(jia, asset, DEPTH, [90])
    assert alerts(jia) == []
    with scope.customer(jia):
        rule.threshold, rule.reason = 80.0, "was too high"
        own_rules.save(rule=rule, actor=chen, now=minute(1))
    feed(jia, asset, DEPTH, [91], start=1)
    assert len(alerts(jia)) == 1
    with scope.customer(jia):
        assert [past.threshold for past in rule.history.order_by("history_date")] == [100.0, 80.0]


def test_a_rule_that_is_gone_or_off_judges_no_more(jia: Customer, chen: User) -> None:
    rule = rule_for(jia, chen, times=1)
    asset = server(jia)
    with scope.customer(jia):
        own_rules.remove(rule=rule, reason="not needed", actor=chen, now=minute(0))
    rule_for(jia, chen, times=1, name="off", is_enabled=False)
    feed(jia, asset, DEPTH, [500])
    assert alerts(jia) == []


def test_only_engineers_write_rules_and_they_say_why(jia: Customer, alice: User, chen: User) -> None:
    with pytest.raises(PermissionDenied):
        rule_for(jia, alice)
    with pytest.raises(DomainError):
        rule_for(jia, chen, reason=" ")


def test_figures_of_scripts_have_graphs_of_their_own() -> None:
    assert [one.id for one in panels_for([DEPTH])] == [DEPTH]
    found = panel(DEPTH)
    assert found is not None
    assert found.name("en") == "queue.depth"


# --- pages -----------------------------------------------------------------------------------------------------------

FORM = {"name": "Deep", "metric": DEPTH, "comparator": ">=", "threshold": "100", "times": "2", "period_s": "60",
        "severity": "2", "no_data": "keep", "is_enabled": "on", "reason": "asked for"}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "given", "period"),
    [("mysql.threads_running", "", 300), ("rds.cpu.util", "", 300), (DEPTH, "", 60), ("rds.cpu.util", "120", 120)],
)
def test_a_new_rule_on_a_database_looks_every_five_minutes_three_times(
    client_for: Clients, chen: User, jia: Customer, metric: str, given: str, period: int
) -> None:
    body = {**FORM, "metric": metric, "period_s": given, "times": "3"}
    assert client_for(chen).post(f"/monitoring/own-rules/new/{jia.pk}/", body).status_code == 302
    with scope.customer(jia):
        assert CustomRule.objects.values_list("period_s", "times").get() == (period, 3)


def test_an_engineer_writes_tries_and_removes_a_rule(client_for: Clients, chen: User, jia: Customer) -> None:
    asset = server(jia)
    client = client_for(chen)
    path = f"/monitoring/own-rules/new/{jia.pk}/"
    assert DEPTH not in client.get(path).content.decode().partition("<datalist")[2].partition("</datalist>")[0]
    feed(jia, asset, DEPTH, [120, 130, 20])
    tried = client.post(path, {**FORM, "try": "1", "reason": ""})
    assert tried.status_code == 200
    with scope.customer(jia):
        assert not CustomRule.objects.exists()
    assert client.post(path, FORM).status_code == 302
    with scope.customer(jia):
        rule = CustomRule.objects.get()
    page = client.get(f"/monitoring/own-rules/{rule.pk}/").content.decode()
    assert "queue.depth" in page
    assert client.get(f"/monitoring/rules/{rule.rule_id}/").headers["Location"] == f"/monitoring/own-rules/{rule.pk}/"
    assert client.post(f"/monitoring/own-rules/{rule.pk}/remove/", {"reason": "done"}).status_code == 302
    with scope.customer(jia):
        assert not CustomRule.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": "no.such.figure"}, "metric"),
        ({"labels": "keyword=ERROR"}, "labels"),
        ({"recovery_threshold": "150"}, "recovery_threshold"),
        ({"comparator": "=", "recovery_threshold": "1"}, "recovery_threshold"),
        ({"threshold": "nan"}, "threshold"),
        ({"times": "0"}, "times"),
        ({"reason": ""}, "reason"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    client_for: Clients, chen: User, jia: Customer, change: dict[str, str], field: str
) -> None:
    response = client_for(chen).post(f"/monitoring/own-rules/new/{jia.pk}/", {**FORM, **change})
    assert response.status_code == 200
    assert field in response.context["form"].errors


def test_another_customers_asset_is_no_choice(client_for: Clients, chen: User, jia: Customer, yi: Customer) -> None:
    foreign = server(yi)
    response = client_for(chen).post(f"/monitoring/own-rules/new/{jia.pk}/", {**FORM, "asset": str(foreign.pk)})
    assert "asset" in response.context["form"].errors


def test_customers_look_at_their_own_and_change_nothing(
    client_for: Clients, alice: User, eve: User, chen: User, jia: Customer
) -> None:
    rule = rule_for(jia, chen)
    feed(jia, server(jia), DEPTH, [500, 500, 500])
    path = f"/monitoring/own-rules/{rule.pk}/"
    client = client_for(alice)
    assert client.get(path).status_code == 200
    assert client.post(path, FORM).status_code == 403
    assert "Queue too deep" in client.get("/monitoring/own-rules/").content.decode()
    with scope.customer(jia):
        alert = Alert.objects.get()
    assert client.get(f"/monitoring/alerts/{alert.pk}/").status_code == 200
    assert client.get(f"/monitoring/alerts/{alert.pk}/why/", follow=True).status_code == 200
    assert client.get(f"/monitoring/why/{alert.series_id}/{rule.rule_id}/").status_code == 200
    assert client_for(eve).get(path).status_code == 404
