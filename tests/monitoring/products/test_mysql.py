"""MariaDB for real: a primary and its replica, what a user may see, and what runs too long."""

from __future__ import annotations

import asyncio
import getpass
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest

from accounts import scope
from accounts.models import Customer, User
from monitoring.collectors import Outcome
from monitoring.collectors.products import mysql
from monitoring.models import RuleOverride
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.servers import PASSWORD, Database, Pair, run_sql, wait
from tests.monitoring.products.visits import closed_port, earlier, figures, look
from tests.monitoring.samples import minute, server

SLEEPING = "SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%' AND TIME >= 1"


async def seen(database: Database, *, user: str = "rdmp", password: str = PASSWORD, **more: Any) -> Outcome:
    return await look("mysql", database.port, user=user, password=password, **more)


def admin(database: Database) -> Any:
    return pymysql.connect(host="127.0.0.1", port=database.port, user="boss", password=PASSWORD)


@pytest.fixture(scope="module")
def pair(mariadb: Pair) -> Pair:
    mariadb.primary.run(
        f"CREATE OR REPLACE USER boss@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'", "GRANT ALL ON *.* TO boss@'127.0.0.1'"
    )
    return mariadb


@contextmanager
def stopped(replica: Database, thread: str) -> Iterator[None]:
    replica.run(f"STOP SLAVE {thread}")
    try:
        yield
    finally:
        replica.run("START SLAVE")
        wait(lambda: replica.run("SELECT 1 FROM mysql.user WHERE User='rdmp'"), what="replica")


async def test_the_status_of_a_primary(pair: Pair) -> None:
    first = await seen(pair.primary)
    assert first.problem is None
    pair.primary.run("INSERT INTO shop.orders VALUES (10, 1), (11, 1)", "COMMIT")
    second = figures(await seen(pair.primary, state=earlier(first)))
    assert second["mysql.com_insert_per_s"] == pytest.approx(1 / 60, rel=0.05)
    assert second["mysql.qps"] > 0
    assert second["mysql.innodb_row_insert_per_s"] >= 1 / 60
    assert second["mysql.connection.util"] == pytest.approx(second["mysql.connections"] / 20 * 100)
    assert 0 < second["mysql.ibuf_use_pct"] <= 100
    assert second["mysql.long_queries"] == 0
    assert not any("replica" in name for name in second)
    assert (first.state or {})["facts"]["version"].startswith("10.")


async def test_a_replica_that_follows_has_a_lag_and_two_running_threads(pair: Pair) -> None:
    found = figures(await seen(pair.replica))
    assert found['mysql.replica.lag_s{channel=""}'] >= 0
    assert found['mysql.replica.thread_running{channel="",thread="io"}'] == 1
    assert found['mysql.replica.thread_running{channel="",thread="sql"}'] == 1


@pytest.mark.parametrize(("thread", "label", "other"), [("SQL_THREAD", "sql", "io"), ("IO_THREAD", "io", "sql")])
async def test_a_stopped_thread_is_told_and_the_lag_is_then_unknown(
    pair: Pair, thread: str, label: str, other: str
) -> None:
    with stopped(pair.replica, thread):
        found = figures(await seen(pair.replica))
    assert found[f'mysql.replica.thread_running{{channel="",thread="{label}"}}'] == 0
    assert found[f'mysql.replica.thread_running{{channel="",thread="{other}"}}'] == 1
    assert 'mysql.replica.lag_s{channel=""}' not in found


@pytest.mark.django_db
def test_a_stopped_thread_raises_its_alarm_after_three_looks_and_ends_it_after_three_more(
    pair: Pair, jia: Customer
) -> None:
    asset = server(jia, name="db-02", kind="database")
    with stopped(pair.replica, "SQL_THREAD"):
        for at in range(2):
            store(asset, asyncio.run(seen(pair.replica)), at)
        assert "mysql-replication-thread" not in states(asset)
        store(asset, asyncio.run(seen(pair.replica)), 2)
        assert states(asset) == {"mysql-replication-thread": False}
    wait(lambda: pair.replica.run("SHOW ALL SLAVES STATUS"), what="replica")
    for at in range(3, 6):
        store(asset, asyncio.run(seen(pair.replica)), at)
    assert states(asset) == {"mysql-replication-thread": True}


async def test_a_replica_that_cannot_write_falls_behind(pair: Pair) -> None:
    """A lock on the replica holds its SQL thread up while both threads say that they run."""
    with pymysql.connect(unix_socket=str(pair.replica.server.path / "db.sock"), user=getpass.getuser()) as holder:
        run_sql(holder, "LOCK TABLES shop.orders READ")
        pair.primary.run("UPDATE shop.orders SET n = n + 1", "COMMIT")

        def lag() -> float:
            return figures(asyncio.run(seen(pair.replica))).get('mysql.replica.lag_s{channel=""}', 0)

        behind = await asyncio.to_thread(wait, lambda: lag() >= 2 and lag(), what="a lag")
    assert behind >= 2
    await asyncio.to_thread(wait, lambda: lag() == 0, what="the replica to catch up")


@pytest.mark.django_db
def test_a_replica_that_is_too_far_behind_alarms_once_the_customer_wants_it_and_until_it_has_caught_up(
    pair: Pair, jia: Customer, chen: User
) -> None:
    """The rule is off until a customer confirms a limit; here it is 2 seconds."""
    asset = server(jia, name="db-03", kind="database")
    wish = {"enabled": True, "thresholds": [2.0], "recovery": [1.0], "reason": "agreed", "changed_at": minute(-1)}
    with scope.customer(jia):
        RuleOverride.objects.create(customer=jia, rule_id="mysql-replication-lag", changed_by=chen, **wish)

    def lag() -> float:
        return figures(asyncio.run(seen(pair.replica))).get('mysql.replica.lag_s{channel=""}', -1)

    with pymysql.connect(unix_socket=str(pair.replica.server.path / "db.sock"), user=getpass.getuser()) as holder:
        run_sql(holder, "LOCK TABLES shop.orders READ")
        pair.primary.run("UPDATE shop.orders SET n = n + 1", "COMMIT")
        wait(lambda: lag() >= 2, what="a lag")
        for at in range(2):
            store(asset, asyncio.run(seen(pair.replica)), at)
        assert states(asset) == {}
        store(asset, asyncio.run(seen(pair.replica)), 2)
        assert states(asset) == {"mysql-replication-lag": False}
    wait(lambda: lag() == 0, what="the replica to catch up")
    for at in range(3, 6):
        store(asset, asyncio.run(seen(pair.replica)), at)
    assert states(asset) == {"mysql-replication-lag": True}


async def test_what_a_user_may_not_see_is_told_as_the_grant_to_run_and_the_rest_is_read(pair: Pair) -> None:
    outcome = await seen(pair.replica, user="poor")
    assert outcome.problem is not None
    assert outcome.problem.code == "privilege"
    assert outcome.problem.detail == "GRANT REPLICA MONITOR, PROCESS ON *.* TO 'poor'@'127.0.0.1';"
    assert "mysql.connections" in figures(outcome)
    pair.primary.run(outcome.problem.detail.rstrip(";"))
    wait(lambda: "PROCESS" in str(pair.replica.run("SHOW GRANTS FOR poor@'127.0.0.1'")), what="the grant")
    try:
        assert (await seen(pair.replica, user="poor")).problem is None
    finally:
        pair.primary.run("REVOKE REPLICA MONITOR, PROCESS ON *.* FROM poor@'127.0.0.1'")


async def test_a_wrong_password_is_no_outage(pair: Pair) -> None:
    outcome = await seen(pair.primary, password="wrong")
    assert outcome.problem is not None
    assert outcome.problem.code == "sign_in"
    assert "rdmp" in outcome.problem.detail
    assert [step.name for step in outcome.steps] == ["resolved", "connected", "sign_in"]


async def test_another_server_and_none_are_told_apart(pair: Pair, memcached: Any, nginx: Any) -> None:
    assert [(await look("mysql", closed_port(), user="x")).problem.code] == ["refused"]  # type: ignore[union-attr]
    web = await look("mysql", nginx.port, user="x", timeout_s=2)
    assert web.problem is not None
    assert web.problem.code in ("wrong_page", "timeout", "reset")


async def test_a_long_query_and_a_deadlock_are_counted(pair: Pair) -> None:
    before = figures(await seen(pair.primary))
    with admin(pair.primary) as sleeper:
        running = threading.Thread(target=run_sql, args=(sleeper, "SELECT SLEEP(2)"))
        running.start()
        wait(lambda: pair.primary.run(SLEEPING), what="a query that runs")
        during = figures(await seen(pair.primary, options={"long_query_s": 1}))
        running.join()
    _deadlock(pair.primary)
    after = figures(await seen(pair.primary))
    assert during["mysql.long_queries"] == 1
    assert during["mysql.longest_query_s"] >= 1
    assert after["mysql.long_queries"] == 0
    assert after["mysql.deadlocks"] == before["mysql.deadlocks"] + 1


async def test_slow_statements_are_told_once_without_their_values(pair: Pair) -> None:
    with admin(pair.primary) as shop:
        run_sql(shop, "USE shop", "SELECT SLEEP(1.1), 'of before'")
        first = await seen(pair.primary)
        assert not first.statements, "what was before is not of this time"
        run_sql(shop, "SELECT SLEEP(1.1), 4711 FROM orders WHERE id = 1", "SELECT SLEEP(0.01)")
        second = await seen(pair.primary, state=first.state)
        third = await seen(pair.primary, state=second.state)
        run_sql(shop, *["SELECT SLEEP(1.05), 4712 FROM orders WHERE id = 2"] * 2)
        fourth = await seen(pair.primary, state=third.state)
    [slow] = second.statements
    assert (slow.database, slow.count, slow.rows_examined) == ("shop", 1, 1)
    assert 1.1 <= slow.total_s == slow.longest_s < 5
    assert "SLEEP" in slow.text
    assert "4711" not in slow.text
    assert third.statements == []
    [again] = fourth.statements
    assert (again.digest, again.count) == (slow.digest, 2)
    assert again.total_s >= 2.1


async def test_a_server_that_does_not_tell_of_statements_says_why(pair: Pair) -> None:
    told = [await seen(pair.primary), await seen(pair.replica), await seen(pair.primary, user="poor")]
    assert [(outcome.state or {})["facts"]["slow_sql"] for outcome in told] == ["read", "off", "denied"]
    assert [outcome.problem and outcome.problem.code for outcome in told[:2]] == [None, None]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((10, 20.0, 3.0, 100), (10, 20.0, 3.0, 100), None),
        ((10, 20.0, 3.0, 100), (14, 26.0, 3.0, 500), (4, 6.0, 1.5, 400)),
        ((10, 20.0, 3.0, 100), (110, 22.0, 3.0, 500), None),
        ((10, 20.0, 3.0, 100), (110, 30.0, 9.0, 500), (1, 9.0, 9.0, 4)),
        ((10, 20.0, 3.0, 100), (2, 5.0, 4.0, 20), (2, 5.0, 4.0, 20)),
    ],
    ids=["nothing", "slow on the whole", "slow before", "one among many", "counted anew"],
)
def test_what_a_statement_did_since_the_last_look(
    before: tuple[float, ...], now: tuple[float, ...], expected: tuple[float, ...] | None
) -> None:
    earlier = [round(value * unit) for value, unit in zip(before, (1, mysql.PICO, mysql.PICO, 1), strict=True)]
    row: dict[str, Any] = {"db": "shop", "digest": "d", "text": "t", "count": now[0], "examined": now[3]}
    row |= {"total": now[1] * mysql.PICO, "longest": now[2] * mysql.PICO}
    found = mysql._since(earlier, row, 1)
    assert (found and (found.count, found.total_s, found.longest_s, found.rows_examined)) == expected


def _deadlock(database: Database) -> None:
    """Two transactions take two rows in opposite order; one of them is the victim."""
    with admin(database) as one, admin(database) as two:
        run_sql(one, "BEGIN", "UPDATE shop.orders SET n = n + 1 WHERE id = 1")
        run_sql(two, "BEGIN", "UPDATE shop.orders SET n = n + 1 WHERE id = 2")
        victims: list[BaseException] = []

        def cross() -> None:
            try:
                run_sql(one, "UPDATE shop.orders SET n = n + 1 WHERE id = 2")
            except pymysql.err.OperationalError as error:
                victims.append(error)

        waiting = threading.Thread(target=cross)
        waiting.start()
        try:
            run_sql(two, "UPDATE shop.orders SET n = n + 1 WHERE id = 1")
        except pymysql.err.OperationalError as error:
            victims.append(error)
        two.rollback()
        waiting.join()
        one.rollback()
    assert len(victims) == 1


async def test_an_internal_address_is_refused_unless_allowed(pair: Pair) -> None:
    outcome = await seen(pair.primary, trusted=False)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"
