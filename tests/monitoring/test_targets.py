"""Creating, changing and trying targets: who may, what is checked, what is kept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contract, Customer, Role, User
from assets.models import Asset
from monitoring.collectors.config import Kind, config_of
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.web import HttpConfig
from monitoring.models import Health, Target
from monitoring.problems import CONFIG_ERRORS, PROBLEMS
from monitoring.services import targets
from tests.conftest import NOW, make_person
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(jia: Customer) -> Iterator[Asset]:
    with scope.customer(jia):
        yield server(jia, host="web.example.com", details={"agent_url": "http://web.example.com:9101/metrics"})


def port_target(asset: Asset, actor: User | None = None, port: int = 80, **options: object) -> Target:
    config = {"host": "web.example.com", "port": port}
    return targets.create(asset=asset, kind=Kind.TCP, config=config, actor=actor, now=NOW, **options)  # type: ignore[arg-type]  # a test's shorthand


def test_a_server_with_an_agent_gets_what_suits_it_and_only_once(web: Asset) -> None:
    created = targets.create_defaults(asset=web, actor=None, now=NOW, token="0123456789abcdef")
    assert {target.kind for target in created} == {"prometheus", "ping"}
    assert targets.create_defaults(asset=web, actor=None, now=NOW) == []


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"kind": "url", "url": "https://shop.example.com/"}, ["http"]),
        ({"kind": "port", "host": "10.0.0.5", "port": 3306}, ["tcp"]),
        ({"kind": "database", "private_ip": "10.0.0.6", "port": 5432}, ["tcp"]),
        ({"kind": "ecs", "public_ip": "8.8.8.8"}, ["ping"]),
        ({"kind": "server"}, []),
        ({"kind": "oss"}, []),
    ],
)
def test_each_kind_of_asset_has_its_collectors(jia: Customer, fields: dict[str, object], kinds: list[str]) -> None:
    asset = server(jia, **fields)  # type: ignore[arg-type]  # a test's shorthand
    assert [suggestion.kind for suggestion in targets.suggestions(asset)] == kinds


def test_the_first_check_is_at_once(web: Asset) -> None:
    target = port_target(web)
    assert target.next_due_at == NOW
    assert target.health(NOW) is Health.WAITING


def test_the_same_target_twice_is_refused_in_words(web: Asset) -> None:
    port_target(web)
    with pytest.raises(DomainError) as refusal:
        port_target(web)
    assert refusal.value.code == "exists"


def test_a_wrong_configuration_is_refused_with_the_field(web: Asset) -> None:
    with pytest.raises(DomainError, match="port"):
        port_target(web, port=70_000)


def test_the_token_is_sealed_and_not_in_the_configuration(web: Asset) -> None:
    [agent, _] = targets.create_defaults(asset=web, actor=None, now=NOW, token="0123456789abcdef")
    assert secrets.use(obj=agent, field=Target.TOKEN, purpose="test", now=NOW) == "0123456789abcdef"
    assert "0123456789abcdef" not in str(Target.objects.filter(pk=agent.pk).values()[0])


def test_customers_cannot_change_what_is_collected(web: Asset, alice: User) -> None:
    target = port_target(web)
    with pytest.raises(DomainError):
        port_target(web, alice, port=81)
    with pytest.raises(DomainError):
        targets.set_enabled(target=target, enabled=False, actor=alice, now=NOW)
    with pytest.raises(DomainError):
        targets.test_now(target=target, actor=alice, now=NOW)
    with pytest.raises(DomainError):
        targets.remove(target=target, actor=alice, now=NOW)


def test_only_an_administrator_allows_internal_addresses_and_says_why(web: Asset, chen: User, root: User) -> None:
    with pytest.raises(DomainError):
        port_target(web, chen, allow_internal=True)
    target = port_target(web, chen)
    with pytest.raises(DomainError):
        targets.set_internal(target=target, allowed=True, reason="because", actor=chen, now=NOW)
    with pytest.raises(DomainError):
        targets.set_internal(target=target, allowed=True, reason=" ", actor=root, now=NOW)
    targets.set_internal(target=target, allowed=True, reason="it is our own demo", actor=root, now=NOW)
    target.refresh_from_db()
    assert target.allow_internal
    assert AuditEntry.objects.filter(action="target.allow_internal").get().detail["reason"] == "it is our own demo"


def test_what_may_go_inside_cannot_be_pointed_elsewhere_by_an_engineer(web: Asset, chen: User, root: User) -> None:
    target = port_target(web, root, allow_internal=True)
    inside = {"host": "127.0.0.1", "port": 5432}
    with pytest.raises(DomainError) as refusal:
        targets.change(target=target, config=inside, name="", period_s=60, actor=chen, now=NOW)
    assert refusal.value.code == "not_allowed"


def test_a_change_is_checked_at_once_forgets_old_counters_and_is_audited(web: Asset, chen: User) -> None:
    target = port_target(web)
    Target.objects.filter(pk=target.pk).update(state={"counters": {"x": 1}}, next_due_at=NOW + timedelta(hours=1))
    config = {"host": "web.example.com", "port": 443}
    changed = targets.change(target=target, config=config, name="TLS", period_s=120, actor=chen, now=NOW)
    assert (changed.name, changed.period_s, changed.state, changed.next_due_at) == ("TLS", 120, {}, NOW)
    assert AuditEntry.objects.filter(action="target.change").get().detail["after"]["config"]["port"] == 443


def test_off_is_off_until_on(web: Asset, chen: User) -> None:
    target = port_target(web)
    targets.set_enabled(target=target, enabled=False, actor=chen, now=NOW)
    assert not Target.objects.claimable(NOW + timedelta(days=1)).exists()
    target.refresh_from_db()
    assert target.health(NOW) is Health.DISABLED
    targets.set_enabled(target=target, enabled=True, actor=chen, now=NOW + timedelta(days=2))
    target.refresh_from_db()
    assert target.health(NOW + timedelta(days=2)) is Health.WAITING


def test_silence_is_late_and_a_reason_is_failing(web: Asset) -> None:
    target = port_target(web)
    assert target.health(NOW + timedelta(minutes=3)) is Health.WAITING
    assert target.health(NOW + timedelta(minutes=4)) is Health.LATE
    assert [late.pk for late in Target.objects.late(NOW + timedelta(minutes=4))] == [target.pk]
    assert not Target.objects.late(NOW + timedelta(minutes=3)).exists()
    Target.objects.filter(pk=target.pk).update(problem_code="refused", problem_since=NOW)
    target.refresh_from_db()
    assert target.health(NOW) is Health.FAILING
    assert not Target.objects.late(NOW + timedelta(minutes=4)).exists()


def test_trying_says_what_is_wrong_and_stores_nothing(web: Asset, root: User) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = {"host": "127.0.0.1", "port": port}
        closed_to_us = targets.create(asset=web, kind=Kind.TCP, config=config, actor=root, now=NOW)
        outcome = targets.test_now(target=closed_to_us, actor=root, now=NOW)
        assert outcome.problem is not None
        assert outcome.problem.code == "blocked"
        targets.set_internal(target=closed_to_us, allowed=True, reason="test", actor=root, now=NOW)
        closed_to_us.refresh_from_db()
        outcome = targets.test_now(target=closed_to_us, actor=root, now=NOW)
    assert outcome.problem is None
    assert outcome.value[0] == 0
    closed_to_us.refresh_from_db()
    assert closed_to_us.last_ok_at is None


def test_more_urls_than_the_contract_counts_is_said_and_not_cut(jia: Customer, settings: LazySettings) -> None:
    with scope.customer(jia):
        asset = server(jia)
        for number in range(6):
            config = {"url": f"https://shop{number}.example.com/", "points": ["a", "b", "c", "d"] if not number else []}
            targets.create(asset=asset, kind=Kind.HTTP, config=config, name=f"shop{number}", actor=None, now=NOW)
        said = targets.quota_warnings(jia, now=NOW)
        assert Target.objects.filter(kind=Kind.HTTP).count() == 6
        assert Contract.objects.get().url_quota == 5
    assert len(said) == 2
    assert "6" in said[0]
    assert "shop0" in said[1]


def test_another_customers_targets_are_not_there(web: Asset, jia: Customer, yi: Customer) -> None:
    target = port_target(web)
    with scope.customer(yi):
        assert not Target.objects.filter(pk=target.pk).exists()


def test_a_retired_asset_is_not_collected_any_more(web: Asset) -> None:
    targets.create_defaults(asset=web, actor=None, now=NOW)
    assert follow_inventory() == 0
    Asset.objects.filter(pk=web.pk).update(retired_at=NOW)
    assert follow_inventory() == 2
    assert not Target.objects.enabled().exists()


def test_nothing_is_collected_for_a_customer_who_left(web: Asset, jia: Customer) -> None:
    port_target(web)
    Customer.objects.filter(pk=jia.pk).update(status=Customer.Status.LEFT)
    assert follow_inventory() == 1
    assert not Target.objects.enabled().exists()


def follow_inventory() -> int:
    with scope.platform("test"):
        return targets.follow_inventory(now=NOW)


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("tcp", {"host": "x"}, "port"),
        ("tcp", {"host": "", "port": 80}, "host"),
        ("tcp", {"host": "a b", "port": 80}, "host"),
        ("tcp", {"host": "999.1.1.1", "port": 80}, "host"),
        ("tcp", {"host": "x", "port": 0}, "port"),
        ("tcp", {"host": "x", "port": True}, "port"),
        ("tcp", {"host": "x", "port": 80, "timout_s": 3}, "timout_s"),
        ("http", {"url": "ftp://x/"}, "url"),
        ("http", {"url": "http://user:pw@x/"}, "url"),
        ("http", {"url": "http://"}, "url"),
        ("http", {"url": "http://x:99999/"}, "url"),
        ("http", {"url": "http://x/", "status": "2xx"}, "status"),
        ("http", {"url": "http://x/", "method": "BREW"}, "method"),
        ("http", {"url": "http://x/", "headers": {"X": "a\r\nHost: b"}}, "headers"),
        ("http", {"url": "http://x/", "timeout_s": 3600}, "timeout_s"),
        ("ping", {"host": "x", "count": 100}, "count"),
        ("cms", {"cloud_account_id": 1, "namespace": "../x"}, "namespace"),
        ("prometheus", {}, "url"),
    ],
)
def test_nonsense_is_found_before_it_is_saved(kind: str, values: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError) as found:
        config_of(kind, values)
    assert found.value.field == field
    assert found.value.code in CONFIG_ERRORS


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("tcp", {"host": "10.0.0.1", "port": 22}),
        ("tcp", {"host": "2400:3200::1", "port": 22}),
        ("tcp", {"host": "数据库.example.cn", "port": 22}),
        ("http", {"url": "https://[2400:3200::1]:8443/a?b=c"}),
        ("http", {"url": "http://订单.example.cn/", "status": "200, 301-302"}),
        ("ping", {"host": "a_b.example.com"}),
    ],
)
def test_what_people_really_have_is_accepted(kind: str, values: dict[str, object]) -> None:
    assert config_of(kind, config_of(kind, values).as_json()) == config_of(kind, values)


def test_status_lists_are_understood() -> None:
    config = HttpConfig("http://x/", status="200, 301-302")
    assert [config.accepts(status) for status in (200, 201, 301, 302, 303)] == [True, False, True, True, False]


def test_every_problem_has_its_words() -> None:
    assert all(str(text) for text in PROBLEMS.values())


def test_an_engineer_of_nobody_sees_nothing(web: Asset) -> None:
    port_target(web)
    stranger = make_person("stranger", Role.ENGINEER)
    with scope.user(stranger):
        assert not Target.objects.exists()
