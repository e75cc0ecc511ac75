"""The part on databases, number by number; slow SQL comes from the simulated cloud."""

from datetime import date, timedelta

import numpy as np
import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from changes.duties import Kind
from changes.models import BackupPolicy, DutyOccurrence, RecurringDuty
from demo.aliyun import JIA_UID, CloudServer, FaultKind
from demo.aliyun.happenings import slow_row
from monitoring.models import SlowStatement, Target
from monitoring.models.series import metric_name
from monitoring.services import targets
from reports.blocks import Part, Remark, Table
from reports.kinds import slow_sql
from reports.kinds.monthly import databases
from tests.assets.conftest import _hasty, account, cloud, server  # noqa: F401 - fixtures
from tests.reports.golden import (
    STEPS,
    asset_of,
    chart,
    day,
    figure,
    one,
    read,
    rows,
    said,
    table,
    warnings,
    wide_rows,
    write,
)

pytestmark = pytest.mark.django_db
GIVEN = pytest.approx
SELECT = "select * from orders where buyer = 4711"
UPDATE = "update stock set n = n - 1 where sku = 'A-17'"


@pytest.fixture
def order(jia: Customer, account: CloudAccount, server: CloudServer) -> Asset:  # noqa: F811 - fixtures
    estate = server.cloud.estate(JIA_UID)
    instance = str(estate.find("mall-order")["DBInstanceId"])
    estate.work.slow_sql[instance] = [
        slow_row(SELECT, day=date(2026, 2, 28), count=99, total_s=9000),
        slow_row(SELECT, day=date(2026, 3, 1), count=10, total_s=30, longest_s=9, examined=1000),
        slow_row(SELECT, day=date(2026, 3, 31), count=20, total_s=50, longest_s=7, examined=3000),
        slow_row(UPDATE, day=date(2026, 3, 5), count=4, total_s=100, longest_s=60),
        slow_row(SELECT, day=date(2026, 4, 1), count=99, total_s=9000),
    ]
    asset = asset_of(
        jia, "order", "rds", cloud_account=account, provider_id=instance, product="mysql", engine="MySQL 8.0",
        region="cn-hangzhou",
    )  # fmt: skip
    write(asset, "rds.cpu.util", lambda at: np.where(at % 10 == 0, 95.0, 45.0))
    write(asset, "rds.mem.util", 60)
    write(asset, "rds.connection.util", lambda at: np.where(at == 100, 88.0, 20.0))
    write(asset, "rds.iops.util", 30)
    write(asset, "rds.disk.util", lambda at: 60 + at / 288)
    write(asset, "rds.mysql.qps", lambda at: np.where(at < 9 * 288, 1000.0, 500.0))
    one(asset, "rds.mysql.qps", 9e6, day(1) - timedelta(minutes=5))
    one(asset, "rds.mysql.qps", 9e6, day(32))
    return asset


@pytest.fixture
def others(jia: Customer, yi: Customer) -> None:
    own = asset_of(jia, "wiki", "database", product="mysql", created_at=day(16))
    write(own, "mysql.connection.util", 10, first=day(16))
    write(own, "mysql.slow_queries_per_s", 0.5, first=day(16))
    write(own, "mysql.deadlocks", lambda at: np.where(at < 200, at // 100, at // 400.0), first=day(16))
    cache = asset_of(jia, "cache", "redis", retired_at=day(11))
    for node, cpu in (("db-0", 20.0), ("db-1", 50.0)):
        write(cache, "redis_cloud.cpu.util", cpu, last=day(12), node=node)
    asset_of(jia, "silent", "mongodb")
    write(asset_of(yi, "other", "rds"), "rds.cpu.util", 99)


@pytest.fixture
def part(jia: Customer, order: Asset, others: None) -> Part:
    return read(jia, databases.read)


def test_each_database_by_its_numbers(part: Part) -> None:
    found = rows(part, "instances")
    mean = (95 * 893 + 45 * (STEPS - 893)) / STEPS
    assert list(found) == ["cache", "order", "wiki"]
    assert found["order"] == ("MySQL 8.0", GIVEN(mean), 95, 60, 20, 88, 30, 100)
    assert found["wiki"][1:] == (None, None, None, 10, 10, None, 100), "of its sixteen days"
    assert found["cache"][1:] == (50, 50, None, None, None, None, 100), "the node that stands highest, until it went"
    assert figure(part, "databases") == 4
    assert figure(part, "cpu") == GIVEN((mean + 50) / 2)
    assert figure(part, "connections") == 88
    assert "silent" in warnings(part)[0]


def test_the_contracts_items_are_all_there(part: Part, order: Asset) -> None:
    found = {name: row for (name, _unit), row in wide_rows(part, f"items_{order.pk}").items()}
    assert found[metric_name("rds.mysql.qps")] == (GIVEN((1000 * 9 + 500 * 22) / 31), 1000, 1000, 100)
    assert found[metric_name("rds.mysql.tps")] == (None, None, None, 0), "agreed, and without data"
    assert len(found) > 33
    assert "%" not in [
        row[1] for row in table(part, f"items_{order.pk}").rows if row[0] == metric_name("rds.mysql.qps")
    ]


def test_of_many_instances_the_items_of_each_are_in_the_workbook(
    jia: Customer, order: Asset, others: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "DETAILED", 1)
    part = read(jia, databases.read)
    tables = [block for block in part.blocks if isinstance(block, Table) and block.key.startswith("items_")]
    assert [one.drawn > 0 for one in tables] == [True, False, False, False]
    assert any("工作簿" in block.text for block in part.blocks if isinstance(block, Remark))


def test_counters_are_told_by_how_much_they_grew(jia: Customer, part: Part) -> None:
    with scope.customer(jia):
        wiki = Asset.objects.get(name="wiki")
    found = {name: row for (name, _unit), row in wide_rows(part, f"items_{wiki.pk}").items()}
    grown = 1 + (16 * 288 - 1) // 400
    assert found[metric_name("mysql.deadlocks")] == (None, None, None, 100, grown), "and began again at zero"
    assert found[metric_name("mysql.slow_queries_per_s")][0] == 0.5


def test_slow_sql_is_that_of_the_month_each_statement_once(part: Part) -> None:
    found = table(part, "slow").rows
    assert [row[2:] for row in found] == [
        ("update stock set n = n - ? where sku = ?", 4, 100, 25, 60, 0),
        ("select * from orders where buyer = ?", 30, 80, GIVEN(80 / 30), 9, 4000),
    ]
    assert figure(part, "slow") == 34
    untold = [block.text for block in part.blocks if isinstance(block, Remark) and not block.is_warning]
    assert len(untold) == 1
    assert all(name in untold[0] for name in ("wiki", "cache", "silent"))
    assert "update stock" in said(part, "next")


def test_the_list_of_slow_sql_stands_alone_too(jia: Customer, part: Part) -> None:
    alone = read(jia, slow_sql.read)
    assert table(alone, "slow").rows == table(part, "slow").rows
    assert (figure(alone, "slow"), figure(alone, "took")) == (34, 180)


def test_own_servers_tell_of_their_slow_statements_themselves(jia: Customer, yi: Customer, order: Asset) -> None:
    web = asset_of(jia, "web-03", "server")
    write(web, "mysql.connection.util", 10)
    asset_of(jia, "web-04", "server")
    for asset, on, digest, count in (
        (web, date(2026, 2, 28), "d1", 50), (web, date(2026, 3, 1), "d1", 2), (web, date(2026, 3, 31), "d1", 3),
        (web, date(2026, 4, 1), "d1", 50), (asset_of(yi, "other", "server"), date(2026, 3, 3), "d1", 50),
    ):  # fmt: skip
        with scope.customer(asset.customer_id):
            SlowStatement.objects.create(
                customer=asset.customer, asset=asset, day=on, database="crm", digest=digest, text="DELETE FROM t",
                count=count, total_s=100.0 * count, longest_s=100.0 + count, rows_examined=count,
            )  # fmt: skip
    part = read(jia, databases.read)
    assert table(part, "slow").rows[0] == ("web-03", "crm", "DELETE FROM t", 5, 500, 100, 103, 5)
    assert figure(part, "slow") == 39
    assert not [text for text in warnings(part) if "web-03" in text]
    assert table(read(jia, slow_sql.read), "slow").rows == table(part, "slow").rows


def test_a_server_that_tells_and_had_no_slow_statement_is_known(jia: Customer) -> None:
    web = asset_of(jia, "web-03", "server")
    config = {"product": "mysql", "host": "10.1.2.3", "port": 3306, "user": "rdmp"}
    with scope.customer(jia):
        target = targets.create(asset=web, kind="product", config=config, actor=None, now=day(1), token="t")
        assert figure(read(jia, slow_sql.read), "slow") is None
        Target.objects.filter(pk=target.pk).update(state={"facts": {"slow_sql": "read"}})
    assert figure(read(jia, slow_sql.read), "slow") == 0


def test_a_cloud_that_does_not_answer_is_no_month_without_slow_sql(
    jia: Customer,
    order: Asset,
    server: CloudServer,  # noqa: F811 - the fixture
) -> None:
    server.cloud.fail(FaultKind.UNAVAILABLE, 99, product="Rds")
    part = read(jia, databases.read)
    assert figure(part, "slow") is None
    assert "order" in warnings(part)[0]
    assert table(part, "slow").rows == ()


def test_storage_that_fills_is_foretold(part: Part) -> None:
    assert rows(part, "space")["order"][:3] == (GIVEN(60 + (STEPS - 1) / 288), GIVEN(1), "2026-04-09")
    assert figure(part, "filling") == 1
    assert "order" in said(part, "bad")
    assert table(part, "advice").source.query == (
        "database-connections, database-cpu-larger, database-disk-full, database-disk-soon"
    )
    assert chart(part, "space_by_day")["order"]["03-01"] == GIVEN(60 + 287 / 2 / 288)
    assert chart(part, "cpu_by_day")["cache"]["03-11"] is None


def test_backups_and_drills_are_told(jia: Customer, order: Asset, chen: User) -> None:
    with scope.customer(jia):
        BackupPolicy.objects.create(
            customer=jia, asset=order, days=list(range(7)), hour=2, keep_days=7, agreed_at=day(1), recorded_by=chen,
            state=BackupPolicy.State.DIFFERS, differences=["kept"], checked_at=day(30),
        )  # fmt: skip
        duty = RecurringDuty.objects.create(
            customer=jia, kind=Kind.RESTORE_DRILL, name_zh="恢复演练", name_en="Drill", rhythm="monthly",
            first_due_on=date(2026, 2, 20), created_at=day(1),
        )  # fmt: skip
        for due, done in ((date(2026, 2, 20), None), (date(2026, 3, 20), day(20, 12)), (date(2026, 3, 31), day(33))):
            DutyOccurrence.objects.create(
                customer=jia, duty=duty, due_on=due, opened_at=day(1), done_at=done, result="passed" if done else "",
                backup="s-1", restore_minutes=20 if done else None,
            )  # fmt: skip
    part = read(jia, databases.read)
    assert figure(part, "backups") == 1
    assert rows(part, "backups")["order"][3] == "2026-03-30T00:00:00+08:00"
    assert [row[1:3] + row[5:] for row in table(part, "drills").rows] == [
        ("2026-03-20", "2026-03-20T12:00:00+08:00", 1200),
        ("2026-03-31", None, None),
    ], "what was done in April was not done yet at the end"
    assert "order" in said(part, "bad")


def test_without_any_database_nothing_is_made_up(jia: Customer) -> None:
    part = read(jia, databases.read)
    assert figure(part, "databases") == 0
    assert figure(part, "cpu") is None
    assert figure(part, "slow") is None
    assert not any(table.rows for table in part.tables())
    assert part.findings == ()
