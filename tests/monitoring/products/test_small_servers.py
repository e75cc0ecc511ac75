"""Apache, PHP-FPM, Memcached, HAProxy and node_exporter, each for real: figures, mistakes, restarts."""

from __future__ import annotations

import asyncio
import threading

import pytest

from accounts.models import Customer
from monitoring.collectors import Outcome, Problem, prometheus
from monitoring.collectors.config.machines import PrometheusConfig
from monitoring.collectors.products import fastcgi
from tests.monitoring.probes import GUARD, job_for
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.servers import Balancer, Running, apache_server, wait
from tests.monitoring.products.visits import earlier, figures, look
from tests.monitoring.samples import alerts, server

# --- Apache --------------------------------------------------------------------------------------------------------


async def test_apaches_status_with_cpu_as_a_rate(apache: Running) -> None:
    first = await look("apache", apache.port)
    assert first.problem is None
    assert "apache.cpu_load" not in figures(first)
    second = figures(await look("apache", apache.port, state=earlier(first)))
    assert set(second) == {
        "apache.workers_busy", "apache.workers_idle", "apache.uptime_s", "apache.cpu_load", "apache.requests_per_s",
        "apache.bytes_per_s",
    }  # fmt: skip
    assert second["apache.workers_busy"] in {1, 2}, (
        "the one that answers, and the first one's while its connection closes"
    )
    assert second["apache.requests_per_s"] == pytest.approx(1 / 60, rel=0.05)
    assert 0 <= second["apache.cpu_load"] < 100


async def test_a_wrong_path_and_a_page_that_is_not_mod_status_are_told(apache: Running, nginx: Running) -> None:
    assert (await look("apache", apache.port, path="/status")).problem == Problem(
        "path_missing", "HTTP 404 /status?auto"
    )
    other = (await look("apache", nginx.port, path="/nginx_status")).problem
    assert other is not None
    assert other.code == "wrong_page"


async def test_without_extended_status_what_is_missing_is_named_and_the_rest_is_read() -> None:
    with apache_server(extended="Off") as plain:
        outcome = await look("apache", plain.port)
    assert outcome.problem == Problem("disabled", "ExtendedStatus On")
    assert figures(outcome)["apache.workers_busy"] == 1


@pytest.mark.django_db
def test_a_restart_of_apache_is_told_once_and_is_over_after_ten_minutes(apache: Running, jia: Customer) -> None:
    asset = server(jia, name="web-02")

    def seen() -> Outcome:
        return asyncio.run(look("apache", apache.port))

    outcome = seen()
    place = [key[2] for key in outcome.keys].index("apache.uptime_s")
    outcome.value[place] += 3600  # as if it had run for an hour
    store(asset, outcome, 0)
    apache.restart()
    store(asset, seen(), 1)
    assert states(asset) == {"apache-restarted": False}
    for at in range(2, 14):
        store(asset, seen(), at)
    assert states(asset) == {"apache-restarted": True}
    assert len(alerts(jia)) == 1


# --- PHP-FPM -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["http", "fastcgi"])
async def test_php_fpm_is_read_through_nginx_and_directly(phpfpm: Running, nginx: Running, via: str) -> None:
    port = phpfpm.port if via == "fastcgi" else nginx.port
    first = await look("php-fpm", port, options={"via": via})
    assert first.problem is None
    found = figures(await look("php-fpm", port, state=earlier(first), options={"via": via}))
    assert found['phpfpm.active_processes{pool="www"}'] == 1
    assert found['phpfpm.processes{pool="www"}'] == 1
    assert found['phpfpm.requests_per_s{pool="www"}'] == pytest.approx(1 / 60, rel=0.05)


async def test_a_status_path_that_php_fpm_does_not_have(phpfpm: Running) -> None:
    outcome = await look("php-fpm", phpfpm.port, path="/other", options={"via": "fastcgi"})
    assert outcome.problem == Problem("path_missing", "pm.status_path /other: 404")


def run_php(phpfpm: Running, script: str) -> None:
    """Ask PHP-FPM for a script, as a web server does."""

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", phpfpm.port)
        path = str(phpfpm.path / script)
        writer.write(fastcgi.request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": path, "SCRIPT_FILENAME": path}))
        await fastcgi.answer(reader)
        writer.close()

    asyncio.run(ask())


@pytest.mark.django_db
def test_php_that_ran_out_of_children_alarms_on_the_increase_and_not_for_ever(phpfpm: Running, jia: Customer) -> None:
    """The counter never sinks: 「>0」 read literally would never end."""
    asset = server(jia, name="php-01")

    def seen() -> Outcome:
        return asyncio.run(look("php-fpm", phpfpm.port, options={"via": "fastcgi"}))

    def reached() -> float:
        return figures(seen())['phpfpm.max_children_reached{pool="www"}']

    store(asset, seen(), 0)
    before = reached()
    requests = [threading.Thread(target=run_php, args=(phpfpm, "slow.php")) for _ in range(3)]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    wait(lambda: reached() > before, what="max children reached")
    store(asset, seen(), 1)
    assert states(asset)["phpfpm-max-children"] is False
    for at in range(2, 14):
        store(asset, seen(), at)
    assert states(asset)["phpfpm-max-children"] is True


# --- Memcached -----------------------------------------------------------------------------------------------------


async def test_memcached_and_its_hits(memcached: Running) -> None:
    first = await look("memcached", memcached.port)
    assert first.problem is None
    reader, writer = await asyncio.open_connection("127.0.0.1", memcached.port)
    writer.write(b"set a 0 0 1\r\nx\r\nget a\r\nget a\r\nget a\r\nget b\r\nquit\r\n")
    await reader.read()
    found = figures(await look("memcached", memcached.port, state=earlier(first)))
    assert found["memcached.hit_pct"] == 75
    assert found["memcached.gets_per_s"] == pytest.approx(4 / 60, rel=0.05)
    assert found["memcached.items"] == 1


async def test_memcached_that_is_down_and_up_again(memcached: Running) -> None:
    memcached.stop()
    assert (await look("memcached", memcached.port)).problem == Problem("refused")
    memcached.start()
    assert (await look("memcached", memcached.port)).problem is None


async def test_something_else_is_not_taken_for_memcached(zookeeper: Running) -> None:
    outcome = await look("memcached", zookeeper.port, timeout_s=2)
    assert outcome.problem is not None
    assert outcome.problem.code in ("wrong_page", "reset", "timeout")


# --- HAProxy -------------------------------------------------------------------------------------------------------


async def test_haproxys_servers_and_which_are_down(haproxy: Balancer) -> None:
    port = haproxy.server.port

    def is_known() -> bool:
        found = figures(asyncio.run(look("haproxy", port)))
        return found['haproxy.server.down{proxy="shop",server="bad"}'] == 1

    await asyncio.to_thread(wait, is_known, what="the check of the server that is down")
    first = await look("haproxy", port)
    assert first.problem is None
    found = figures(await look("haproxy", port, state=earlier(first)))
    assert found['haproxy.server.down{proxy="shop",server="good"}'] == 0
    assert found['haproxy.unhealthy_servers{proxy="shop"}'] == 1
    assert found['haproxy.active_servers{proxy="shop"}'] == 1
    assert found['haproxy.requests_per_s{proxy="stats"}'] > 0
    assert any("shop/bad" in step.text for step in first.steps)


async def test_another_page_is_not_haproxys(nginx: Running) -> None:
    outcome = await look("haproxy", nginx.port, path="/nginx_status")
    assert outcome.problem is not None
    assert outcome.problem.code in ("path_missing", "wrong_page")


# --- node_exporter -------------------------------------------------------------------------------------------------


async def test_the_real_node_exporter_gives_the_host_figures(node_exporter: Running) -> None:
    config = PrometheusConfig(f"http://127.0.0.1:{node_exporter.port}/metrics")
    [outcome] = await prometheus.collect([job_for(config)], guard=GUARD)
    found = figures(outcome)
    assert outcome.problem is None
    assert found["host.mem.total_bytes"] > 0
    assert {"host.load1", "host.mem.util", "host.boot_time", "host.cpu.cores"} <= set(found)
