"""The part on hosts, number by number."""

from datetime import timedelta

import numpy as np
import pytest
from pytest_django import DjangoDbBlocker

from accounts import scope
from accounts.models import Customer
from monitoring.hostdiff import Kind as Happening
from monitoring.models import Event, Newest
from monitoring.services import packer
from reports.blocks import Part
from reports.kinds.monthly import hosts
from tests.conftest import make_customer
from tests.reports.golden import (
    STEP,
    STEPS,
    asset_of,
    chart,
    day,
    figure,
    one,
    passing_world,
    read,
    rows,
    said,
    table,
    warnings,
    write,
)

pytestmark = pytest.mark.django_db
GIVEN = pytest.approx


def fleet(jia: Customer, yi: Customer) -> None:
    shop = asset_of(jia, "shop")
    write(shop, "host.cpu.util", lambda at: np.where(at % 10 == 0, 90.0, 40.0))
    write(shop, "host.mem.util", 60)
    write(shop, "host.load5", 2)
    write(shop, "host.cpu.cores", 4)
    write(shop, "host.fs.used_pct", lambda at: 50 + at / 288, mountpoint="/data", device="vdb1")
    write(shop, "host.fs.used_pct", 30, mountpoint="/", device="vda1")
    for device, rate in (("eth0", 1e6), ("eth1", 5e5)):
        write(shop, "host.net.in_bytes_per_s", rate, device=device)
        write(shop, "host.net.out_bytes_per_s", rate, last=day(32) - STEP, device=device)
        one(shop, "host.net.out_bytes_per_s", 3 * rate, day(32) - STEP, device=device)
    booted = day(1).timestamp() - 86_400
    write(shop, "host.boot_time", lambda at: booted + 5 * (at > 99) + 1e6 * (at > 999) + 1e6 * (at > 5000))
    write(shop, "port.result_code", 0, port="22")
    write(shop, "port.result_code", lambda at: np.where(at >= 20 * 288, 2.0, 0.0), port="8080")
    for at in (day(1) - timedelta(minutes=5), day(32)):  # the months before and after
        one(shop, "host.cpu.util", 100, at)
        one(shop, "port.result_code", 1, at, port="22")

    idle = asset_of(jia, "idle", "ecs")
    write(idle, "ecs.cpu.util", 2)
    write(idle, "ecs.mem.util", 10)
    write(idle, "ecs.net.in_bits_per_s", 4e6)
    write(idle, "ecs.net.intranet_in_bits_per_s", 6e6)

    gone = asset_of(jia, "gone", retired_at=day(11))
    write(gone, "host.cpu.util", 20, last=day(11))
    write(gone, "host.cpu.util", 100, first=day(11), last=day(12))
    new = asset_of(jia, "new", created_at=day(21))
    write(new, "host.cpu.util", 30, first=day(21))
    asset_of(jia, "silent")
    half = asset_of(jia, "half")
    write(half, "host.cpu.util", 50, first=day(1), last=day(16, 12))
    asset_of(jia, "later", created_at=day(32))
    asset_of(jia, "earlier", retired_at=day(1))
    write(asset_of(yi, "other"), "host.cpu.util", 99)


@pytest.fixture(scope="module")
def part(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Part:
    with passing_world(django_db_blocker):
        jia = make_customer("jia", "甲方制造有限公司")
        fleet(jia, make_customer("yi", "乙酉物流有限公司"))
        return read(jia, hosts.read)


def test_each_host_by_its_numbers(part: Part) -> None:
    found = rows(part, "use")
    assert list(found) == ["gone", "half", "idle", "new", "shop"]
    mean = (90 * 893 + 40 * (STEPS - 893)) / STEPS
    assert found["shop"] == (GIVEN(mean), 90, 90, 60, 60, 60, 2, 2, 100)
    assert found["idle"] == (2, 2, 2, 10, 10, 10, None, None, 100)
    assert found["gone"][:3] == (20, 20, 20)
    assert found["gone"][-1] == 100, "of its ten days"
    assert found["new"][:3] == (30, 30, 30)
    assert found["new"][-1] == 100, "of its eleven days"
    assert found["half"][-1] == GIVEN(50)
    assert figure(part, "hosts") == 6
    assert figure(part, "cpu") == GIVEN((mean + 2 + 20 + 30 + 50) / 5)
    assert figure(part, "memory") == GIVEN(35)
    assert figure(part, "reboots") == 2, "a clock put right by five seconds is none"


def test_what_is_not_known_is_said_and_never_zero(part: Part) -> None:
    missing, patchy = warnings(part)
    assert "silent" in missing
    assert "half" in patchy
    assert "gone" not in patchy
    assert "silent" not in rows(part, "use")
    days = chart(part, "cpu_by_day")
    assert days["half"]["03-16"] == 50
    assert days["half"]["03-17"] is None
    assert days["new"]["03-20"] is None
    assert "silent" in said(part, "next")


def test_days_and_months_begin_at_midnight_in_shanghai(part: Part) -> None:
    days = chart(part, "cpu_by_day")["shop"]
    assert next(iter(days)) == "03-01"
    assert list(days)[-1] == "03-31"
    assert days["03-01"] == GIVEN((90 * 29 + 40 * 259) / 288)
    assert days["03-31"] == GIVEN((90 * 29 + 40 * 259) / 288), "steps 8640 to 8927"


def test_a_disk_that_fills_is_foretold(part: Part) -> None:
    found = rows(part, "disks")
    name, mean, p95, high, used, per_day, full, _sure, disks = found["shop"]
    assert (name, disks) == ("/data", 2)
    assert used == high == GIVEN(50 + (STEPS - 1) / 288)
    assert mean == GIVEN(50 + (STEPS - 1) / 288 / 2)
    assert p95 == pytest.approx(50 + 0.95 * (STEPS - 1) / 288, abs=0.01)
    assert per_day == GIVEN(1)
    assert full == "2026-04-19", "19 days after the end, when 81 % were used"
    assert figure(part, "fullest") == used
    assert figure(part, "filling") == 1
    assert "/data" in said(part, "bad")
    assert [row[:2] for row in table(part, "top_disks").rows] == [("shop", "/data"), ("shop", "/")]


def test_traffic_is_that_of_all_devices(part: Part) -> None:
    found = rows(part, "network")
    assert found["shop"] == (GIVEN(12), GIVEN(12), GIVEN(12), GIVEN(12 + 24 / STEPS), GIVEN(12), GIVEN(36))
    assert found["idle"] == (GIVEN(10), GIVEN(10), GIVEN(10), None, None, None)


def test_ports_that_are_not_open_are_named(part: Part) -> None:
    ports = {row[1]: row for row in table(part, "ports").rows}
    assert ports["22"][2] == 100
    assert ports["8080"][2] == GIVEN(100 * 20 / 31)
    assert ports["8080"][3] != ports["22"][3]
    assert (figure(part, "ports"), figure(part, "closed")) == (2, 1)
    assert "shop:8080" in said(part, "bad")


def test_advice_follows_the_rules(part: Part) -> None:
    advised = [row[0] for row in table(part, "advice").rows]
    assert advised == ["idle", "shop", "shop"], "smaller; more CPU and a disk"
    sources = table(part, "advice").source.query
    assert sources == "host-cpu-larger, host-cpu-smaller, host-disk-soon"


def test_the_top_begins_with_the_highest(part: Part) -> None:
    assert [row[0] for row in table(part, "top_cpu").rows] == ["half", "shop", "new", "gone", "idle"]


def test_packed_days_say_the_same(jia: Customer) -> None:
    shop = asset_of(jia, "shop")
    write(shop, "host.cpu.util", lambda at: np.where(at % 2 == 0, 10.0, 30.0), last=day(4))
    write(shop, "host.fs.used_pct", lambda at: 50 + at / 288, last=day(4), mountpoint="/data")
    raw = read(jia, hosts.read)
    with scope.customer(jia):
        Newest.objects.create(customer=jia, asset=shop, data=b"")
    assert packer.run(now=day(40)).points == 2 * 3 * 288
    assert read(jia, hosts.read) == raw


def test_a_host_that_tells_no_boot_time_has_the_reboots_that_were_told(jia: Customer) -> None:
    shop = asset_of(jia, "shop")
    write(shop, "host.cpu.util", 5, last=day(2))
    with scope.customer(jia):
        for at in (day(1) - STEP, day(1), day(9), day(32)):
            Event.objects.create(
                customer=jia,
                asset=shop,
                source=Event.Source.HOST,
                kind=Happening.REBOOT,
                title_zh="主机已重启",
                title_en="The host was restarted",
                occurred_at=at,
                recorded_at=at,
                key=f"reboot/{at}",
            )
    assert figure(read(jia, hosts.read), "reboots") == 2


def test_without_any_host_nothing_is_made_up(jia: Customer) -> None:
    part = read(jia, hosts.read)
    assert figure(part, "hosts") == 0
    assert figure(part, "cpu") is None
    assert figure(part, "reboots") is None
    assert not any(table.rows for table in part.tables())
    assert part.findings == ()


def test_the_steps_of_a_fleet_are_read_with_few_queries(jia: Customer, django_assert_max_num_queries: object) -> None:
    fleet = [asset_of(jia, f"web-{number:02}") for number in range(12)]
    for asset in fleet:
        write(asset, "host.cpu.util", 5, first=day(1), last=day(2))
    with scope.customer(jia), django_assert_max_num_queries(70):  # type: ignore[operator]  # a fixture of pytest-django
        read(jia, hosts.read)
