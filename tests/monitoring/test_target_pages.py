"""The pages of targets: who sees and presses what, and what they say."""

from __future__ import annotations

import socket

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import Target
from monitoring.services import targets
from tests.conftest import ClientFor
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, host="web.example.com")


@pytest.fixture
def target(web: Asset) -> Target:
    with scope.customer(web.customer_id):
        config = {"host": "web.example.com", "port": 443}
        return targets.create(asset=web, kind="tcp", config=config, actor=None, now=timezone.now())


def english(browser: Client) -> Client:
    browser.cookies["django_language"] = "en"
    return browser


def reread(target: Target) -> Target:
    with scope.platform("test"):
        return Target.objects.get(pk=target.pk)


def test_the_list_shows_each_person_their_own(
    target: Target, yi: Customer, alice: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    assert "web.example.com:443" in client_for(alice).get("/monitoring/targets/").content.decode()
    assert "web.example.com:443" in client_for(chen).get("/monitoring/targets/").content.decode()
    assert "web.example.com:443" not in client_for(eve).get("/monitoring/targets/").content.decode()


def test_another_customers_target_is_not_found(target: Target, eve: User, client_for: ClientFor) -> None:
    browser = client_for(eve)
    for path in ("", "edit/"):
        assert browser.get(f"/monitoring/targets/{target.pk}/{path}").status_code in (403, 404)
    assert browser.get(f"/monitoring/targets/{target.pk}/").status_code == 404


@pytest.mark.parametrize("verb", ["test", "enable", "disable", "internal", "remove"])
def test_customers_read_and_press_nothing(target: Target, alice: User, client_for: ClientFor, verb: str) -> None:
    browser = client_for(alice)
    assert browser.get(f"/monitoring/targets/{target.pk}/").status_code == 200
    assert browser.post(f"/monitoring/targets/{target.pk}/{verb}/").status_code == 403
    assert browser.get(f"/monitoring/targets/{target.pk}/edit/").status_code == 403
    assert reread(target).is_enabled


def test_a_problem_is_told_in_words_with_its_cause(target: Target, vera: User, client_for: ClientFor) -> None:
    with scope.platform("test"):
        Target.objects.update(problem_code="unauthorised", problem_detail="HTTP 401", problem_since=timezone.now())
    text = english(client_for(vera)).get(f"/monitoring/targets/{target.pk}/").content.decode()
    assert "refuses the token" in text
    assert "HTTP 401" in text


def test_filters_search_and_export(target: Target, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    assert "web.example.com" not in browser.get("/monitoring/targets/?health=failing").content.decode()
    assert "web.example.com" in browser.get("/monitoring/targets/?kind=tcp&health=working&q=web").content.decode()
    export = browser.get("/monitoring/targets/?export=csv").content.decode("utf-8-sig")
    assert "web.example.com:443" in export


def test_an_engineer_creates_changes_switches_and_removes(web: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    form = {"host": "db.example.com", "port": "5432", "timeout_s": "5", "name": "", "period_s": "60"}
    answer = browser.post(f"/monitoring/targets/new/{web.pk}/tcp/", form)
    with scope.platform("test"):
        made = Target.objects.get()
    assert answer["Location"] == f"/monitoring/targets/{made.pk}/"
    browser.post(f"/monitoring/targets/{made.pk}/edit/", {**form, "port": "5433", "name": "DB", "period_s": "30"})
    changed = reread(made)
    assert (changed.name, changed.where, changed.period_s) == ("DB", "db.example.com:5433", 30)
    browser.post(f"/monitoring/targets/{made.pk}/disable/")
    assert not reread(made).is_enabled
    browser.post(f"/monitoring/targets/{made.pk}/enable/")
    assert reread(made).is_enabled
    assert browser.post(f"/monitoring/targets/{made.pk}/remove/")["Location"] == f"/assets/{web.pk}/"
    with scope.platform("test"):
        assert not Target.objects.exists()


def test_a_wrong_field_comes_back_with_its_reason(web: Asset, chen: User, client_for: ClientFor) -> None:
    form = {"url": "ftp://x/", "method": "GET", "status": "2xx", "timeout_s": "10", "max_redirects": "5"}
    answer = english(client_for(chen)).post(f"/monitoring/targets/new/{web.pk}/http/", {**form, "period_s": "60"})
    assert answer.status_code == 422
    assert "begins with http" in answer.content.decode()


def test_the_same_target_twice_is_said_where_the_person_is(target: Target, chen: User, client_for: ClientFor) -> None:
    form = {"host": "web.example.com", "port": "443", "timeout_s": "5", "period_s": "60"}
    answer = client_for(chen).post(f"/monitoring/targets/new/{target.asset_id}/tcp/", form, follow=True)
    assert "error" in [message.level_tag for message in answer.context["messages"]] or answer.status_code == 422


def test_a_token_is_never_shown_again(web: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    form = {"url": "http://10.0.0.8:9101/metrics", "token": "0123456789abcdef", "timeout_s": "10", "period_s": "60"}
    browser.post(f"/monitoring/targets/new/{web.pk}/prometheus/", form)
    with scope.platform("test"):
        made = Target.objects.get()
    assert made.token_set_at is not None
    for path in ("", "edit/"):
        assert "0123456789abcdef" not in browser.get(f"/monitoring/targets/{made.pk}/{path}").content.decode()
    browser.post(f"/monitoring/targets/{made.pk}/edit/", {**form, "token": ""})
    assert reread(made).token_set_at == made.token_set_at


def test_trying_a_target_says_exactly_what_is_wrong_and_what_to_do(
    web: Asset, root: User, client_for: ClientFor
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with scope.customer(web.customer_id):
        config = {"host": "127.0.0.1", "port": port}
        made = targets.create(asset=web, kind="tcp", config=config, actor=root, now=timezone.now())
    browser = english(client_for(root))
    blocked = browser.post(f"/monitoring/targets/{made.pk}/test/").content.decode()
    assert "inside the platform" in blocked
    browser.post(f"/monitoring/targets/{made.pk}/internal/", {"allowed": "on", "reason": "a test"})
    closed = browser.post(f"/monitoring/targets/{made.pk}/test/").content.decode()
    assert "what it checks does not" in closed
    with socket.create_server(("127.0.0.1", port)):
        opened = browser.post(f"/monitoring/targets/{made.pk}/test/").content.decode()
    assert "The collector works" in opened


def test_an_engineer_does_not_allow_internal_addresses(target: Target, chen: User, client_for: ClientFor) -> None:
    answer = client_for(chen).post(f"/monitoring/targets/{target.pk}/internal/", {"allowed": "on", "reason": "please"})
    assert answer.status_code == 403
    assert not reread(target).allow_internal


def test_no_such_collector_is_not_found(web: Asset, chen: User, client_for: ClientFor) -> None:
    assert client_for(chen).get(f"/monitoring/targets/new/{web.pk}/telnet/").status_code == 404
    assert client_for(chen).get(f"/monitoring/targets/new/{web.pk}/cms/").status_code == 404


def test_the_refresh_of_the_list_is_only_its_rows(target: Target, chen: User, client_for: ClientFor) -> None:
    rows = client_for(chen).get("/monitoring/targets/", headers={"HX-Request": "true", "HX-Target": "targets"})
    assert b"<html" not in rows.content
    assert b"web.example.com" in rows.content
