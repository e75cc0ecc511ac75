"""The API of rules: reading what holds where, changing it, trying it; and the wall between customers."""

from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import AssetGroup, RuleOverride
from tests.conftest import ClientFor
from tests.monitoring.samples import alerts, feed, minute, server

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01")


@pytest.fixture
def browser(chen: User, client_for: ClientFor) -> Client:
    return client_for(chen)


def post(browser: Client, path: str, **body: Any) -> Any:
    return browser.post(f"/api/v1/{path}", body, content_type="application/json")


def test_a_rule_is_read_with_what_holds_on_an_asset_and_who_said_so(browser: Client, jia: Customer, web: Asset) -> None:
    answer = post(
        browser, "rule-overrides/", customer=jia.pk, rule_id="host-cpu-util", thresholds=[70], reason="small"
    )  # fmt: skip
    assert answer.status_code == 201
    post(
        browser, "rule-overrides/", customer=jia.pk, rule_id="host-cpu-util", asset=web.pk, severity="high", reason="x"
    )  # fmt: skip
    holds = browser.get(f"/api/v1/rules/host-cpu-util/?asset={web.pk}").json()["holds"]
    assert holds["conditions"] == ["host.cpu.util >= 70 %"]
    assert holds["recovery"] == ["host.cpu.util < 65 %"]
    assert holds["said_by"] == {"thresholds": "customer", "severity": "asset"}
    assert browser.get("/api/v1/rules/host-cpu-util/").json()["holds"] is None
    assert len(browser.get("/api/v1/rules/").json()) >= 90


def test_a_group_is_made_changed_and_removed(browser: Client, jia: Customer, web: Asset) -> None:
    made = post(browser, "asset-groups/", customer=jia.pk, name="db", assets=[web.pk]).json()
    assert (made["assets"], made["rank"]) == ([web.pk], 1)
    path = f"/api/v1/asset-groups/{made['id']}/"
    body = {"customer": jia.pk, "name": "databases", "tag": "role=db"}
    assert browser.put(path, body, content_type="application/json").json()["assets"] == []
    assert browser.delete(path).status_code == 204
    with scope.customer(jia):
        assert not AssetGroup.objects.exists()


def test_an_override_is_taken_back_with_a_reason(browser: Client, jia: Customer) -> None:
    made = post(browser, "rule-overrides/", customer=jia.pk, rule_id="host-cpu-util", times=2, reason="x").json()
    path = f"/api/v1/rule-overrides/{made['id']}/"
    assert browser.delete(path).status_code == 409
    assert browser.delete(f"{path}?reason=over").status_code == 204
    with scope.customer(jia):
        assert not RuleOverride.objects.exists()


def test_a_dry_run_counts_and_saves_nothing(
    browser: Client, jia: Customer, web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(jia, web, "host.cpu.util", [70] * 4 + [20] * 4)
    monkeypatch.setattr("django.utils.timezone.now", lambda: minute(20))
    answer = post(browser, "rules/host-cpu-util/dry-run/", customer=jia.pk, thresholds=[60]).json()
    assert (answer["count"], answer["is_complete"], answer["fired"][0]["asset"]) == (1, True, web.pk)
    assert alerts(jia) == []


@pytest.mark.parametrize(
    "body",
    [
        {"rule_id": "no-such-rule", "times": 2},
        {"thresholds": ["ninety"]},
        {"thresholds": [1, 2]},
        {"thresholds": ["{$NO.SUCH}"]},
        {"labels": 'a="b"', "times": 2},
        {},
    ],
)
def test_what_cannot_be_meant_is_refused(browser: Client, jia: Customer, body: dict[str, Any]) -> None:
    answer = post(browser, "rule-overrides/", **{"customer": jia.pk, "rule_id": "host-cpu-util", "reason": "x", **body})
    assert answer.status_code in (400, 409)
    assert answer["Content-Type"] == "application/problem+json"


def test_another_customers_things_do_not_exist(
    jia: Customer, yi: Customer, web: Asset, eve: User, alice: User, browser: Client, client_for: ClientFor
) -> None:
    group = post(browser, "asset-groups/", customer=jia.pk, name="db").json()
    stranger = client_for(eve)
    assert stranger.get(f"/api/v1/asset-groups/{group['id']}/").status_code == 404
    assert stranger.get(f"/api/v1/rules/host-cpu-util/?asset={web.pk}").status_code == 404
    assert stranger.get(f"/api/v1/rules/host-cpu-util/?customer={jia.pk}").status_code == 404
    mixed = {"customer": yi.pk, "rule_id": "host-cpu-util", "asset": web.pk, "times": 2, "reason": "x"}
    assert post(browser, "rule-overrides/", **mixed).status_code == 400
    own = client_for(alice)
    assert own.get(f"/api/v1/asset-groups/{group['id']}/").status_code == 200
    assert (
        post(own, "rule-overrides/", customer=jia.pk, rule_id="host-cpu-util", times=2, reason="x").status_code == 403
    )
