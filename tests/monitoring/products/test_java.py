"""Tomcat through its manager and through Jolokia, Java by Jolokia: real machines, one template per process."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import pytest

from accounts.models import Customer
from monitoring.collectors import Outcome, Problem
from monitoring.collectors.products import jmxproxy, jolokia
from monitoring.collectors.products.frame import CannotReadError
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.servers import PASSWORD, Running
from tests.monitoring.products.visits import earlier, figures, look, names, wanted
from tests.monitoring.samples import alerts, server

JOLOKIA = {"via": "jolokia", "app": "shop"}


def short(found: Any) -> dict[str, float]:
    return {name.partition("{")[0]: value for name, value in figures(found).items()}


def hello(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html").read()


async def test_tomcats_items_through_its_own_manager(tomcat: Running) -> None:
    first = await look("tomcat", tomcat.port, user="rdmp", password=PASSWORD)
    assert first.problem is None
    for _ in range(3):
        await asyncio.to_thread(hello, tomcat.port)
    second = await look("tomcat", tomcat.port, user="rdmp", password=PASSWORD, state=earlier(first))
    found, before = short(second), short(first)
    assert found["tomcat.requests"] >= before["tomcat.requests"] + 3
    assert found["tomcat.bytes_sent"] > before["tomcat.bytes_sent"]
    assert found["tomcat.threads_max"] == 20
    assert 0 < found["tomcat.threads_busy"] <= found["tomcat.threads"] <= 20
    assert 0 < found["tomcat.heap.util"] < 100
    assert found["tomcat.uptime_s"] > 0
    assert found["tomcat.cache_lookups"] >= before["tomcat.cache_lookups"] + 3
    assert 0 <= found["tomcat.cache_hit_pct"] <= 100
    assert wanted("Tomcat") <= names(second)
    assert (second.state or {})["facts"]["version"].startswith("Apache Tomcat/10.")
    assert "17" in (second.state or {})["facts"]["java"]


@pytest.mark.django_db
def test_a_restart_of_tomcat_is_told_once_and_is_over_after_ten_minutes(tomcat: Running, jia: Customer) -> None:
    asset = server(jia, name="tomcat-01", kind="middleware")

    def seen() -> Outcome:
        return asyncio.run(look("tomcat", tomcat.port, user="rdmp", password=PASSWORD))

    before = seen()
    place = [key[2] for key in before.keys].index("tomcat.start_time")
    before.value[place] -= 3600  # as if it had run for an hour
    store(asset, before, 0)
    tomcat.restart()
    store(asset, seen(), 1)
    assert states(asset)["tomcat-restarted"] is False
    for at in range(2, 14):
        store(asset, seen(), at)
    assert states(asset)["tomcat-restarted"] is True
    assert [alert.rule_id for alert in alerts(jia)].count("tomcat-restarted") == 1


async def test_memory_without_a_limit_has_no_utilization(tomcat: Running) -> None:
    """A modern machine says max = -1 for what is not heap: a share of it would be nonsense."""
    found = short(await look("tomcat", tomcat.port, user="rdmp", password=PASSWORD))
    assert "tomcat.nonheap.util" not in found
    assert "tomcat.heap.util" in found


async def test_a_wrong_password_and_a_user_without_the_role(tomcat: Running) -> None:
    wrong = await look("tomcat", tomcat.port, user="rdmp", password="wrong")
    assert wrong.problem == Problem("sign_in", "HTTP 401 /manager/jmxproxy/?qry=java.lang:type=Runtime")
    poor = await look("tomcat", tomcat.port, user="nobody", password=PASSWORD)
    assert poor.problem is not None
    assert poor.problem.code == "forbidden"


async def test_tomcat_through_jolokia_gives_the_same_figures(jolokia: Running, tomcat: Running) -> None:
    first = await look("tomcat", jolokia.port, path="/jolokia/", options=JOLOKIA)
    assert first.problem is None
    by_jolokia = short(await look("tomcat", jolokia.port, path="/jolokia/", options=JOLOKIA, state=earlier(first)))
    once = await look("tomcat", tomcat.port, user="rdmp", password=PASSWORD)
    by_manager = short(await look("tomcat", tomcat.port, user="rdmp", password=PASSWORD, state=earlier(once)))
    assert set(by_jolokia) - {"tomcat.cache_hit_pct"} == set(by_manager) - {"tomcat.cache_hit_pct"}
    assert all('app="shop"' in name for name in figures(first))


async def test_a_tomcat_is_refused_as_java_so_that_no_alarm_comes_twice(jolokia: Running) -> None:
    outcome = await look("java", jolokia.port, path="/jolokia/")
    assert outcome.problem is not None
    assert outcome.problem.code == "wrong_product"
    assert outcome.problem.detail.startswith("Apache Tomcat/9")
    assert figures(outcome) == {}


async def test_another_page_is_neither(nginx: Running) -> None:
    for product in ("tomcat", "java"):
        outcome = await look(product, nginx.port, path="/nginx_status")
        assert outcome.problem is not None
        assert outcome.problem.code in ("path_missing", "wrong_page", "server_error")


def test_older_tomcats_write_the_class_of_a_composite_around_it() -> None:
    text = (
        "OK - Number of results: 1\n\nName: java.lang:type=Memory\nHeapMemoryUsage: javax.management.openmbean."
        "CompositeDataSupport(compositeType=x(name=y,items=((itemName=used))),"
        "contents={committed=10, init=5, max=-1, used=7})\n"
    )
    assert jmxproxy.parse(text) == {
        "java.lang:type=Memory": {"HeapMemoryUsage": {"committed": 10, "init": 5, "max": -1, "used": 7}}
    }
    with pytest.raises(CannotReadError):
        jmxproxy.parse("Error - java.lang.Exception")


def test_one_read_of_jolokia_asks_without_failing_on_a_missing_attribute() -> None:
    assert jolokia.MEMORY.as_json()["config"] == {"ignoreErrors": True}
