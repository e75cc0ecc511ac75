"""Forms and pages of probes: secrets that nobody reads again, steps in a form, the page of a site."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope, secrets
from accounts.models import Contract, Customer, User
from accounts.services import customers
from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Job, batch_of, places
from monitoring.collectors.config import Kind
from monitoring.collectors.config.web import HttpConfig, RequestSecret
from monitoring.collectors.places import Answer, StepResult
from monitoring.models import Target
from monitoring.services import rounds, sites, targets
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db
HTTP = {
    "url": "https://shop.example.com/api",
    "method": "POST",
    "headers": "X-Key: very-secret-1\nAccept: application/json",
    "body": "very-secret-2",
    "status": "200",
    "json_path": "$.state",
    "json_value": "ok",
    "timeout_s": "10",
    "max_redirects": "5",
    "period_s": "60",
    "area": "cn",
}
FLOW = {
    "secrets": "password=very-secret-3",
    "timeout_s": "20",
    "period_s": "60",
    "area": "cn",
    "steps-TOTAL_FORMS": "2",
    "steps-INITIAL_FORMS": "0",
    "steps-0-name": "query",
    "steps-0-url": "https://shop.example.com/orders/{{id}}",
    "steps-0-headers": "Authorization: Bearer {{token}}",
    "steps-0-ORDER": "2",
    "steps-1-name": "sign in",
    "steps-1-method": "POST",
    "steps-1-url": "https://shop.example.com/login",
    "steps-1-body": '{"password": "{{password}}"}',
    "steps-1-extract": "token = json $.token\nid = regex id=(\\d+)",
    "steps-1-ORDER": "1",
}


@pytest.fixture
def shop(jia: Customer) -> Asset:
    return server(jia, "shop", kind="url", url="https://shop.example.com/")


def the_target() -> Target:
    with scope.platform("test"):
        return Target.objects.get()


def stored(target: Target) -> str:
    with scope.platform("test"):
        return secrets.use(obj=target, field=Target.TOKEN, purpose="test", now=timezone.now())


def english(browser: Client) -> Client:
    browser.cookies["django_language"] = "en"
    return browser


def test_headers_and_body_go_into_the_vault_and_never_come_back(shop: Asset, chen: User, client_for: ClientFor) -> None:
    browser = english(client_for(chen))
    assert browser.post(f"/monitoring/targets/new/{shop.pk}/http/", HTTP).status_code == 302
    target = the_target()
    assert target.config["header_names"] == ["Accept", "X-Key"]
    assert target.config["has_body"] is True
    assert "very-secret" not in json.dumps(target.config)
    secret = RequestSecret.parse(stored(target))
    assert (secret.headers["X-Key"], secret.body) == ("very-secret-1", "very-secret-2")
    for path in ("", "edit/"):
        page = browser.get(f"/monitoring/targets/{target.pk}/{path}").content.decode()
        assert "very-secret" not in page
    assert "Stored: Accept, X-Key, Body" in page
    kept = {**HTTP, "headers": "", "body": ""}
    assert browser.post(f"/monitoring/targets/{target.pk}/edit/", kept).status_code == 302
    assert RequestSecret.parse(stored(target)).body == "very-secret-2"
    assert the_target().config["header_names"] == ["Accept", "X-Key"]


def test_secrets_do_not_follow_a_check_to_another_server(shop: Asset, chen: User, client_for: ClientFor) -> None:
    browser = english(client_for(chen))
    browser.post(f"/monitoring/targets/new/{shop.pk}/http/", HTTP)
    target = the_target()
    away = {**HTTP, "headers": "", "body": "", "url": "https://evil.example.com/api"}
    answer = browser.post(f"/monitoring/targets/{target.pk}/edit/", away)
    assert answer.status_code == 422
    assert "leads elsewhere" in answer.content.decode()
    assert browser.post(f"/monitoring/targets/{target.pk}/edit/", {**away, "forget": "on"}).status_code == 302
    assert RequestSecret.parse(stored(target)) == RequestSecret()
    assert the_target().config["header_names"] == []


def test_steps_are_saved_in_their_order_and_their_secret_is_sealed(
    shop: Asset, chen: User, client_for: ClientFor
) -> None:
    browser = english(client_for(chen))
    assert browser.post(f"/monitoring/targets/new/{shop.pk}/flow/", FLOW).status_code == 302
    target = the_target()
    assert [step["name"] for step in target.config["steps"]] == ["sign in", "query"]
    assert target.config["steps"][0]["extract"][0] == {"name": "token", "source": "json", "expression": "$.token"}
    assert target.config["secrets"] == ["password"]
    assert json.loads(stored(target)) == {"password": "very-secret-3"}
    page = browser.get(f"/monitoring/targets/{target.pk}/edit/").content.decode()
    assert "very-secret" not in page
    assert "token = json $.token" in page
    away = {**FLOW, "secrets": "", "steps-0-url": "https://evil.example.com/{{password}}"}
    answer = browser.post(f"/monitoring/targets/{target.pk}/edit/", away)
    assert answer.status_code == 422
    assert "enter the secrets again" in answer.content.decode()


def test_one_more_step_without_javascript(shop: Asset, chen: User, client_for: ClientFor) -> None:
    answer = english(client_for(chen)).post(f"/monitoring/targets/new/{shop.pk}/flow/", {**FLOW, "add_step": "1"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'name="steps-2-url"' in page
    assert "Nothing has been saved yet" in page
    with scope.platform("test"):
        assert not Target.objects.exists()


def test_a_removed_step_is_gone_and_a_wrong_one_is_named(shop: Asset, chen: User, client_for: ClientFor) -> None:
    browser = english(client_for(chen))
    wrong = {**FLOW, "steps-1-DELETE": "on"}
    answer = browser.post(f"/monitoring/targets/new/{shop.pk}/flow/", wrong)
    assert answer.status_code == 422
    assert "no secret provides" in answer.content.decode(), "token came from the step that is gone"
    fine = {**wrong, "steps-0-url": "https://shop.example.com/", "steps-0-headers": ""}
    assert browser.post(f"/monitoring/targets/new/{shop.pk}/flow/", fine).status_code == 302
    assert [step["name"] for step in the_target().config["steps"]] == ["query"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (
            "dns",
            {"name_asked": "shop.example.com", "record": "A", "expected": "192.0.2.1\n192.0.2.2", "timeout_s": "5"},
        ),
        ("tls", {"host": "shop.example.com", "port": "443", "timeout_s": "10"}),
        ("domain", {"domain": "example.cn", "expires_on": "2027-03-31", "timeout_s": "15"}),
        ("tcp", {"host": "shop.example.com", "port": "8443", "timeout_s": "5", "points": ["local-1", "local-2"]}),
    ],
)
def test_each_kind_is_entered_shown_and_changed(
    shop: Asset, chen: User, client_for: ClientFor, kind: str, fields: dict[str, object]
) -> None:
    browser = english(client_for(chen))
    period = "86400" if kind == "domain" else "3600"
    answer = browser.post(f"/monitoring/targets/new/{shop.pk}/{kind}/", {**fields, "period_s": period, "name": "x"})
    assert answer.status_code == 302, answer.content.decode()
    target = the_target()
    assert target.kind == kind
    page = browser.get(f"/monitoring/targets/{target.pk}/edit/")
    assert page.status_code == 200
    again = browser.post(f"/monitoring/targets/{target.pk}/edit/", {**fields, "period_s": period, "name": "y"})
    assert again.status_code == 302
    assert (the_target().name, the_target().config) == ("y", target.config)


# --- the page of a site --------------------------------------------------------------------------------------------


def with_history(asset: Asset) -> Target:
    """A site that was down for five minutes half an hour ago, and one place that is missing now."""
    now = timezone.now().replace(microsecond=0)
    with scope.customer(asset.customer_id):
        url = "https://shop.example.com/"
        target = targets.create(asset=asset, kind="http", config={"url": url}, actor=None, now=now)
        job = Job(target.pk, target.customer_id, asset.pk, HttpConfig(url))
        for minute in range(60, 0, -1):
            at = now - timedelta(minutes=minute)
            code = places.TIMED_OUT if 26 <= minute <= 30 else 0
            answers = [
                Answer(f"local-{number}", code, 100.0 * number, 0 if code else 200, phases={"dns": 5, "first_byte": 90})
                for number in (1, 2, 3)
            ]
            outcome = places.outcome_of(job, answers, points=3, at_ms=round(at.timestamp() * 1000))
            pipeline.ingest(batch_of(asset.customer_id, [outcome]), now=at)
        rounds.keep([target], {target.pk: answers}, asked_at=at, now=at)
        return target


def test_the_page_shows_places_times_and_the_outage_with_its_cause(
    shop: Asset, alice: User, eve: User, client_for: ClientFor
) -> None:
    target = with_history(shop)
    browser = english(client_for(alice))
    page = browser.get(f"/monitoring/sites/{target.pk}/").content.decode()
    for text in ("local-1 (this machine)", "91.67 %", "timed out", "passed", "URLs", "First byte"):
        assert text in page, text
    answer = browser.get(f"/monitoring/sites/{target.pk}/latency.json?range=6h").json()
    assert [series["name"] for series in answer["series"]][:2] == [
        "local-1 (this machine) p50",
        "local-1 (this machine) p95",
    ]
    assert "https://shop.example.com/" in browser.get("/monitoring/sites/").content.decode()
    stranger = client_for(eve)
    assert stranger.get(f"/monitoring/sites/{target.pk}/").status_code == 404
    assert stranger.get(f"/monitoring/sites/{target.pk}/latency.json").status_code == 404
    assert "shop.example.com" not in stranger.get("/monitoring/sites/").content.decode()


def test_an_outage_ends_when_nobody_sees_it_any_more(shop: Asset) -> None:
    target = with_history(shop)
    with scope.customer(shop.customer_id):
        [outage] = sites.outages(target, now=timezone.now())
        assert (outage.minutes, outage.ends is not None) == (5, True)


def test_the_waterfall_is_drawn_to_one_scale() -> None:
    steps = (
        StepResult("a", 0, 40, 200, phases={"dns": 10.0, "connect": 10.0, "first_byte": 20.0}),
        StepResult("b", 3, 60, 500, detail="HTTP 500", phases={"connect": 30.0, "first_byte": 30.0}),
    )
    first, second = sites.waterfall(Answer("p", 12, 100, steps=steps).as_json())
    assert [(bar.phase, bar.x, bar.width) for bar in first.bars] == [
        ("dns", 0, 100),
        ("connect", 100, 100),
        ("first_byte", 200, 200),
    ]
    assert [(bar.x, bar.width) for bar in second.bars] == [(400, 300), (700, 300)]
    assert (second.ok, second.text) == (False, "HTTP 500")


def test_test_now_shows_each_step_with_its_waterfall(shop: Asset, chen: User, client_for: ClientFor) -> None:
    browser = english(client_for(chen))
    broken = {**FLOW, "steps-0-url": "http://no-such-name.invalid/", "steps-1-url": "http://no-such-name.invalid/login"}
    browser.post(f"/monitoring/targets/new/{shop.pk}/flow/", broken)
    page = browser.post(f"/monitoring/targets/{the_target().pk}/test/").content.decode()
    assert "1. sign in" in page
    assert "waterfall-bar" in page
    assert "very-secret" not in page


def test_the_quota_counts_flows_and_points(shop: Asset, jia: Customer) -> None:
    with scope.customer(jia.pk):
        targets.create(
            asset=shop, kind=Kind.HTTP, config={"url": "http://a.example.com/"}, actor=None, now=timezone.now()
        )
        steps = [{"name": "a", "url": "http://b.example.com/"}]
        targets.create(asset=shop, kind=Kind.FLOW, config={"steps": steps}, actor=None, now=timezone.now())
        found = sites.quota(jia, now=timezone.now())
    assert found is not None
    assert (found.urls, found.points, found.url_quota, found.point_quota) == (2, 6, 5, 15)


def test_the_quota_is_that_of_the_contract_in_force_not_of_the_newest_row(shop: Asset, jia: Customer) -> None:
    with scope.platform("test"):
        later = customers.sign_default_contract(
            customer=jia, number="2", signed_on=date(2027, 3, 2), actor=None, now=NOW
        )
        Contract.objects.filter(pk=later.pk).update(url_quota=50, probe_points_per_url=4)
        for now, agreed in ((NOW, (5, 15)), (NOW.replace(year=2027, day=3), (50, 200))):
            found = sites.quota(jia, now=now)
            assert found is not None
            assert (found.url_quota, found.point_quota) == agreed
