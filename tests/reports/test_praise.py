"""What a part praises was measured: of everything that the sentence names, over enough of the time."""

from __future__ import annotations

import numpy as np
import pytest

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.models import Target
from reports import figures
from reports.blocks import Part
from reports.kinds.asking import Asked
from reports.kinds.monthly import databases, hosts, overview, overview_health, security, security_hosts, web
from tests.reports.golden import MARCH, asset_of, day, figure, read, said, table, warnings, write
from tests.reports.test_golden_overview import looked_at

pytestmark = pytest.mark.django_db
FULL = ("host.cpu.util", "host.mem.util")


def host(customer: Customer, name: str, *, disk: bool = True) -> Asset:
    asset = asset_of(customer, name)
    for metric in FULL:
        write(asset, metric, 40)
    if disk:
        write(asset, "host.fs.used_pct", 50, mountpoint="/")
    return asset


def watched(customer: Customer, name: str) -> Asset:
    """A URL that is to be watched, and of which nothing is known."""
    asset = asset_of(customer, name, "url", url=f"https://{name}.example/")
    with scope.customer(customer):
        Target.objects.create(
            customer=customer, asset=asset, kind=Kind.HTTP, name=name, key=name, next_due_at=day(1),
            config={"url": f"https://{name}.example/"}, created_at=day(1), changed_at=day(1),
        )  # fmt: skip
    return asset


def site(customer: Customer, name: str, hours: float = 31 * 24) -> Asset:
    asset = asset_of(customer, name, "url", url=f"https://{name}.example/")
    write(asset, "url.result_code", 0, last=day(1, hours), url=f"https://{name}.example/")
    return asset


def test_two_hours_of_one_figure_are_no_praise_of_three(jia: Customer) -> None:
    write(asset_of(jia, "web"), "host.cpu.util", 10, last=day(1, 2))
    part = read(jia, hosts.read)
    assert said(part, "good") == ""
    assert figure(part, "short") == 0


def test_what_was_seen_of_every_host_is_praised_and_nothing_else(jia: Customer) -> None:
    host(jia, "web")
    assert all(name in said(read(jia, hosts.read), "good") for name in ("CPU", "内存", "磁盘"))
    host(jia, "app", disk=False)
    good = said(read(jia, hosts.read), "good")
    assert all(name in good for name in ("CPU", "内存"))
    assert "磁盘" not in good
    asset_of(jia, "silent")
    assert said(read(jia, hosts.read), "good") == ""


def test_a_host_that_has_too_much_is_not_one_that_lacks_something(jia: Customer) -> None:
    idle = asset_of(jia, "idle")
    write(idle, "host.cpu.util", 2)
    write(idle, "host.mem.util", 10)
    part = read(jia, hosts.read)
    assert [row[0] for row in table(part, "advice").rows] == ["idle"]
    assert figure(part, "short") == 0
    assert "CPU" in said(part, "good")
    write(asset_of(jia, "busy"), "host.cpu.util", 95)
    part = read(jia, hosts.read)
    assert figure(part, "short") == 1
    assert said(part, "good") == ""


def test_a_database_of_which_only_the_cpu_is_known_is_praised_for_no_storage(jia: Customer) -> None:
    orders = asset_of(jia, "orders", "rds")
    write(orders, "rds.cpu.util", 20)
    part = read(jia, databases.read)
    assert "CPU" in said(part, "good")
    assert not any(word in said(part, "good") for word in ("连接数", "存储"))
    write(orders, "rds.connection.util", 20)
    write(orders, "rds.disk.util", 20)
    assert all(word in said(read(jia, databases.read), "good") for word in ("CPU", "连接数", "存储"))
    write(asset_of(jia, "cache", "redis"), "redis_cloud.cpu.util", 20, last=day(2))
    assert said(read(jia, databases.read), "good") == ""


def test_a_url_that_was_hardly_watched_was_not_available_all_the_time(jia: Customer) -> None:
    site(jia, "shop", hours=2)
    part = read(jia, web.read)
    assert figure(part, "available") == 100
    assert said(part, "good") == ""


def test_of_urls_those_that_were_watched_are_praised_as_such(jia: Customer) -> None:
    site(jia, "shop")
    assert len(said(read(jia, web.read), "good").splitlines()) == 2
    watched(jia, "blog")
    (good,) = said(read(jia, web.read), "good").splitlines()
    assert "2 个中的 1 个" in good


def test_of_businesses_either_all_are_praised_or_none(jia: Customer) -> None:
    site(jia, "shop")
    assert "99.9" in said(read(jia, overview.read), "good")
    hardly = site(jia, "blog", hours=2)
    assert "99.9" not in said(read(jia, overview.read), "good")
    with scope.customer(jia):
        Asset.objects.filter(pk=hardly.pk).update(retired_at=day(1))
    assert "99.9" in said(read(jia, overview.read), "good")
    site(jia, "mall", hours=0)
    assert "99.9" not in said(read(jia, overview.read), "good")


# --- the health ------------------------------------------------------------------------------------------------------


def test_one_side_of_little_weight_is_no_health() -> None:
    known = figures.score({"availability": None, "service_levels": None, "alerts": 100.0, "hardening": 80, "care": 90})
    assert known.value is None
    assert known.known == ["alerts", "hardening", "care"]
    assert figures.score({"availability": 100.0, "service_levels": None, "alerts": 100.0}).value is None
    half = figures.score({"availability": 100.0, "service_levels": 60.0, "alerts": None})
    assert half.value == pytest.approx((30 * 100 + 25 * 60) / 55)


def test_a_month_without_anything_measured_has_no_health_and_no_praise(jia: Customer) -> None:
    asset_of(jia, "web")
    part = read(jia, overview.read)
    assert figure(part, "health_alerts") == 100
    assert figure(part, "health") is None
    assert next(one for one in part.figures() if one.key == "health").note
    assert said(part, "good") == ""


def test_the_sentence_of_the_health_names_what_it_rests_on() -> None:
    everything = dict.fromkeys(figures.WEIGHTS, 95.0)
    assert "方面" not in overview_health.sentence(figures.score(everything))
    some = overview_health.sentence(figures.score(everything | {"care": None, "hardening": None}))
    assert "95" in some
    assert "最差业务的可用率" in some
    assert "加固" not in some


def test_a_url_that_was_hardly_watched_makes_no_health(jia: Customer) -> None:
    site(jia, "shop", hours=2)
    assert figure(read(jia, overview.read), "health_availability") is None
    site(jia, "blog")
    assert figure(read(jia, overview.read), "health_availability") == 100


# --- the other parts -------------------------------------------------------------------------------------------------


def test_hardening_is_compared_of_the_servers_that_were_looked_at_both_times(jia: Customer) -> None:
    old, new = asset_of(jia, "old"), asset_of(jia, "new")
    looked_at(old, day(-3), 60)
    looked_at(old, day(20), 60)
    looked_at(new, day(20), 100)
    asked = Asked(jia, MARCH, MARCH.starts_at, MARCH.ends_at, day(34), {})
    with scope.customer(jia):
        found = security_hosts.hardening(asked)
        assert found.score == 80
        assert security_hosts.hardening_findings(found) == []
        looked_at(old, day(21), 70)
        (told,) = security_hosts.hardening_findings(security_hosts.hardening(asked))
    assert (told.tone, "60" in told.text, "70" in told.text) == ("good", True, True)


def test_a_customer_without_a_cloud_account_has_no_security_center_to_open(jia: Customer) -> None:
    part = read(jia, security.read)
    assert "云安全中心" not in said(part, "next")
    assert table(part, "sessions_unmatched").empty == "没有会话。"


def test_a_database_with_slow_sql_that_nobody_tells_of_is_not_praised(jia: Customer) -> None:
    write(asset_of(jia, "cache", "redis"), "redis_cloud.cpu.util", np.ones_like)
    part: Part = read(jia, databases.read)
    assert "慢" not in said(part, "good")
    assert warnings(part) == []
