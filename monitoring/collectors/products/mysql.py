"""MySQL and MariaDB by their status variables, replication state, what runs too long, and which statements are slow.

PyMySQL talks in a thread over a socket that the guard has checked. The user needs PROCESS and REPLICATION CLIENT and
no right to any data.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pymysql
from pymysql.constants import ER
from pymysql.cursors import DictCursor

from monitoring.collectors import Statement
from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit, share

RATES: Final = {
    "Questions": "mysql.qps",
    "Slow_queries": "mysql.slow_queries_per_s",
    "Com_select": "mysql.com_select_per_s",
    "Com_insert": "mysql.com_insert_per_s",
    "Com_insert_select": "mysql.com_insert_select_per_s",
    "Com_update": "mysql.com_update_per_s",
    "Com_delete": "mysql.com_delete_per_s",
    "Com_replace": "mysql.com_replace_per_s",
    "Com_replace_select": "mysql.com_replace_select_per_s",
    "Innodb_rows_read": "mysql.innodb_row_read_per_s",
    "Innodb_rows_inserted": "mysql.innodb_row_insert_per_s",
    "Innodb_rows_updated": "mysql.innodb_row_update_per_s",
    "Innodb_rows_deleted": "mysql.innodb_row_delete_per_s",
    "Innodb_data_read": "mysql.innodb_read_bytes_per_s",
    "Innodb_data_written": "mysql.innodb_written_bytes_per_s",
    "Innodb_log_write_requests": "mysql.innodb_log_requests_per_s",
    "Innodb_log_writes": "mysql.innodb_log_writes_per_s",
    "Innodb_os_log_fsyncs": "mysql.innodb_log_fsyncs_per_s",
    "Created_tmp_tables": "mysql.tmp_tables_per_s",
    "Created_tmp_disk_tables": "mysql.tmp_disk_tables_per_s",
    "Created_tmp_files": "mysql.tmp_files_per_s",
    "Bytes_received": "mysql.net_in_bytes_per_s",
    "Bytes_sent": "mysql.net_out_bytes_per_s",
    "Aborted_connects": "mysql.aborted_connects_per_s",
}
GAUGES: Final = {
    "Threads_connected": "mysql.connections",
    "Threads_running": "mysql.threads_running",
    "Innodb_row_lock_current_waits": "mysql.row_lock_waits",
    "Uptime": "mysql.uptime_s",
}
HANDLER: Final = {
    "Innodb_rows_inserted": ("Handler_write",),
    "Innodb_rows_updated": ("Handler_update",),
    "Innodb_rows_deleted": ("Handler_delete",),
    "Innodb_rows_read": tuple(
        f"Handler_read_{how}" for how in ("first", "key", "last", "next", "prev", "rnd", "rnd_next")
    ),
}
"""Newer MariaDB counts rows at the handler alone, over all engines."""
BUSY: Final = (
    "SELECT COUNT(*) AS long_ones, COALESCE(MAX(TIME), 0) AS longest FROM information_schema.PROCESSLIST"
    " WHERE COMMAND = 'Query' AND TIME >= %s AND ID <> CONNECTION_ID()"
    " AND USER NOT IN ('system user', 'event_scheduler')"
)
TRANSACTION: Final = (
    "SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())), 0) AS longest FROM information_schema.INNODB_TRX"
)
DEADLOCKS: Final = "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'lock_deadlocks'"
WORDINGS: Final = (("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"), ("SHOW ALL SLAVES STATUS",))
"""How MySQL, and how MariaDB, is asked for the state of all channels; MySQL's older word is the second."""
DENIED: Final = frozenset({ER.ACCESS_DENIED_ERROR, 1698, 3118})
NO_PRIVILEGE: Final = frozenset({ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR})
LONG_QUERY_S: Final = 60
SLOW_SQL_S: Final = 1
DIGESTS: Final = (
    "SELECT COALESCE(SCHEMA_NAME, '') AS db, DIGEST AS digest, LEFT(DIGEST_TEXT, 1000) AS text, COUNT_STAR AS count,"
    " SUM_TIMER_WAIT AS total, MAX_TIMER_WAIT AS longest, SUM_ROWS_EXAMINED AS examined,"
    " FIRST_SEEN > %s AS is_new FROM performance_schema.events_statements_summary_by_digest"
    " WHERE DIGEST IS NOT NULL AND MAX_TIMER_WAIT >= %s * 1e12 ORDER BY LAST_SEEN DESC LIMIT 200"
)
"""Statements that were ever slow, those of late first; times in picoseconds."""
PICO: Final = 1e12


@dataclass
class Answers:
    """What one server said."""

    version: str = ""
    user: str = ""
    status: dict[str, float] = field(default_factory=dict)
    max_connections: int = 0
    replicas: Sequence[Mapping[str, Any]] | None = None
    long_queries: tuple[int, int] | None = None
    longest_transaction: int | None = None
    denied: list[str] = field(default_factory=list)
    """The privileges that are missing."""
    digests: Sequence[Mapping[str, Any]] = ()
    asked_at: str = ""
    """By the server's own clock."""
    slow_sql: str = "off"
    """Whether it tells of slow statements: "read", "denied" or "off"."""


def _ask(visit: Visit, sock: socket.socket) -> Answers:
    config = visit.config
    connection: pymysql.Connection[DictCursor] = pymysql.connect(
        host=config.host,
        port=config.port,
        user=config.user,
        password=visit.password,
        charset="utf8mb4",
        cursorclass=DictCursor,
        autocommit=True,
        ssl=visit.tls(),
        read_timeout=config.timeout_s,
        write_timeout=config.timeout_s,
        defer_connect=True,
    )
    connection.connect(sock)
    with connection, connection.cursor() as cursor:
        version: str = connection.get_server_info()  # type: ignore[no-untyped-call]
        found = Answers(version=version.removeprefix("5.5.5-"))  # what MariaDB puts before its own
        _global(cursor, found)
        _replication(cursor, found)
        _busy(cursor, found, visit.option("long_query_s", LONG_QUERY_S))
        _digests(cursor, found, visit.memory.get("asked_at", ""), visit.option("slow_sql_s", SLOW_SQL_S))
    return found


def _global(cursor: DictCursor, found: Answers) -> None:
    cursor.execute("SELECT CURRENT_USER() AS user, @@max_connections AS most")
    row = cursor.fetchone() or {}
    found.user, found.max_connections = str(row.get("user", "")), int(row.get("most", 0))
    cursor.execute("SHOW GLOBAL STATUS")
    for row in cursor.fetchall():
        text = str(row["Value"])
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            found.status[str(row["Variable_name"])] = float(text) if "." in text else int(text)


def _replication(cursor: DictCursor, found: Answers) -> None:
    """The state of every channel, in the words of whichever version answers."""
    for statement in WORDINGS["MariaDB" in found.version]:
        try:
            cursor.execute(statement)
        except pymysql.err.ProgrammingError:
            continue  # an older server does not know the newer word
        except pymysql.err.OperationalError as error:
            if error.args[0] not in NO_PRIVILEGE:
                raise
            right = "REPLICA MONITOR" if "MariaDB" in found.version else "REPLICATION CLIENT"
            found.denied.append(right)
            return
        found.replicas = cursor.fetchall()
        return


def _busy(cursor: DictCursor, found: Answers, long_s: int) -> None:
    """What runs long and deadlocks. Without PROCESS a user sees only itself, and no error says so."""
    try:
        cursor.execute(TRANSACTION)
        found.longest_transaction = int((cursor.fetchone() or {})["longest"])
        if "Innodb_deadlocks" not in found.status:
            cursor.execute(DEADLOCKS)
            found.status["Innodb_deadlocks"] = int((cursor.fetchone() or {"COUNT": 0})["COUNT"])
    except pymysql.err.OperationalError as error:
        if error.args[0] not in NO_PRIVILEGE:
            raise
        found.denied.append("PROCESS")
        return
    cursor.execute(BUSY, [long_s])
    row = cursor.fetchone() or {}
    found.long_queries = int(row["long_ones"]), int(row["longest"])


def _digests(cursor: DictCursor, found: Answers, before: str, slow_s: int) -> None:
    cursor.execute("SELECT @@performance_schema AS is_on, CAST(NOW(6) AS CHAR) AS at")
    row = cursor.fetchone() or {}
    if not row.get("is_on"):
        return
    try:
        cursor.execute(DIGESTS, [before or row["at"], slow_s])
    except pymysql.err.OperationalError as error:
        if error.args[0] not in NO_PRIVILEGE:
            raise
        found.slow_sql = "denied"
        return
    found.digests, found.asked_at, found.slow_sql = cursor.fetchall(), str(row["at"]), "read"


async def collect(visit: Visit) -> None:
    try:
        found = await visit.blocking(lambda sock: _ask(visit, sock))
    except pymysql.err.OperationalError as error:
        raise _refusal(error) from error
    except (pymysql.err.InternalError, pymysql.err.InterfaceError) as error:
        raise CannotReadError("wrong_page", str(error)) from error
    visit.step("signed_in", found.user)
    visit.version("MySQL" if "MariaDB" not in found.version else "", found.version)
    _status(visit, found)
    _replicas(visit, found)
    _statements(visit, found)
    if found.denied:
        visit.lacks("privilege", f"GRANT {', '.join(found.denied)} ON *.* TO {_quoted(found.user)};")


def _status(visit: Visit, found: Answers) -> None:
    status = found.status
    for name, parts in HANDLER.items():
        status.setdefault(name, sum(status.get(part, 0) for part in parts))
    visit.counters.began_at(visit.counters.at - status.get("Uptime", 0))
    for name, metric in GAUGES.items():
        if name in status:
            visit.add(metric, status[name])
    for name, metric in RATES.items():
        if name in status:
            visit.rate(metric, status[name])
    visit.rate("mysql.tps", status.get("Com_commit", 0) + status.get("Com_rollback", 0))
    visit.add("mysql.connection.util", share(status.get("Threads_connected", 0), found.max_connections))
    pages = status.get("Innodb_buffer_pool_pages_total", 0)
    visit.add("mysql.ibuf_use_pct", share(pages - status.get("Innodb_buffer_pool_pages_free", 0), pages))
    visit.add("mysql.ibuf_dirty_pct", share(status.get("Innodb_buffer_pool_pages_dirty", 0), pages))
    _hits(visit, "mysql.ibuf_read_hit_pct", "Innodb_buffer_pool_read_requests", "Innodb_buffer_pool_reads", status)
    _hits(visit, "mysql.key_read_hit_pct", "Key_read_requests", "Key_reads", status)
    if "Innodb_deadlocks" in status:
        visit.add("mysql.deadlocks", status["Innodb_deadlocks"])
    if found.long_queries is not None:
        visit.add("mysql.long_queries", found.long_queries[0])
        visit.add("mysql.longest_query_s", found.long_queries[1])
    if found.longest_transaction is not None:
        visit.add("mysql.longest_transaction_s", found.longest_transaction)


def _hits(visit: Visit, metric: str, asked: str, missed: str, status: Mapping[str, float]) -> None:
    """How many of the reads since the last look were answered from memory."""
    reads = visit.counters.increase(asked, status.get(asked, 0))
    misses = visit.counters.increase(missed, status.get(missed, 0))
    if reads and misses is not None:
        visit.add(metric, max(0.0, share(reads - misses, reads)))


def _replicas(visit: Visit, found: Answers) -> None:
    if found.replicas is not None:
        visit.fact("role", "replica" if found.replicas else "primary")
    for row in found.replicas or ():
        channel = str(row.get("Connection_name") or row.get("Channel_Name") or "")
        threads = {which: _either(row, f"{{}}_{which.upper()}_Running") == "Yes" for which in ("io", "sql")}
        for which, is_running in threads.items():
            visit.add("mysql.replica.thread_running", is_running, channel=channel, thread=which)
            if not is_running:
                error = str(row.get(f"Last_{which.upper()}_Error") or "")
                visit.step("replica", f"{which}: {error or 'stopped'}"[:200])
        lag = _either(row, "Seconds_Behind_{}")
        if lag is not None and all(threads.values()):
            visit.add("mysql.replica.lag_s", max(0, int(lag) - int(row.get("SQL_Delay") or 0)), channel=channel)


def _statements(visit: Visit, found: Answers) -> None:
    """What was slow since the last look: a statement whose mean was, or one execution that took longer than any before.
    What the server counted before the first look is not of this time."""
    visit.fact("slow_sql", found.slow_sql)
    earlier, is_first = visit.memory.get("digests", {}), not visit.memory.get("asked_at")
    visit.memory["digests"] = {
        f"{row['db']} {row['digest']}": [int(row[name]) for name in ("count", "total", "longest", "examined")]
        for row in found.digests
    }
    visit.memory["asked_at"] = found.asked_at
    limit = visit.option("slow_sql_s", SLOW_SQL_S)
    slow = []
    for row in found.digests:
        before = earlier.get(f"{row['db']} {row['digest']}", [0, 0, 0, 0] if row["is_new"] and not is_first else None)
        if before is not None and (statement := _since(before, row, limit)) is not None:
            slow.append(statement)
    visit.outcome.statements = slow


def _since(before: Sequence[int], row: Mapping[str, Any], limit_s: int) -> Statement | None:
    """How a statement did since the counts of before; None when it was not slow."""
    if int(row["count"]) < before[0]:
        before = (0, 0, 0, 0)  # the server began anew
    count, total_s = int(row["count"]) - before[0], (int(row["total"]) - before[1]) / PICO
    if count <= 0:
        return None
    mean_s, examined = total_s / count, int(row["examined"]) - before[3]
    is_record = int(row["longest"]) > before[2]
    longest_s = int(row["longest"]) / PICO if is_record else mean_s
    if mean_s < limit_s:
        if not is_record:
            return None
        count, total_s, examined = 1, longest_s, round(examined / count)
    return Statement(row["db"], row["digest"], row["text"] or "", count, total_s, longest_s, examined)


def _either(row: Mapping[str, Any], name: str) -> Any:
    """A column by its new name (replica, source) or its old one."""
    for word in ("Replica", "Source", "Slave", "Master"):
        if (found := name.format(word)) in row:
            return row[found]
    return None


def _quoted(user: str) -> str:
    name, _, host = user.rpartition("@")
    return f"'{name}'@'{host}'"


def _refusal(error: pymysql.err.OperationalError) -> CannotReadError | OSError:
    """What a refused or broken conversation means."""
    number, text = int(error.args[0]), str(error.args[1] if len(error.args) > 1 else error)
    if number in DENIED:
        return CannotReadError("sign_in", text)
    if number == ER.HOST_NOT_PRIVILEGED:
        return CannotReadError("forbidden", text)
    if number in (ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.HOST_IS_BLOCKED):
        return CannotReadError("server_error", text)
    if isinstance(error.__cause__ or error.__context__, TimeoutError) or "timed out" in text:
        return TimeoutError(text)
    return CannotReadError("tls" if "SSL" in text else "wrong_page", text)


PRODUCT: Final = Product(
    slug="mysql",
    name_zh="MySQL / MariaDB",
    name_en="MySQL / MariaDB",
    icon="brand-mysql",
    port=3306,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="MySQL ≥ 5.5, MariaDB ≥ 10.0",
    options=(
        Option(
            "long_query_s",
            "长查询阈值（秒）",
            "A query is long after, seconds",
            LONG_QUERY_S,
            help_zh="运行超过这么久的查询会被计数。",
            help_en="Queries that run longer are counted.",
        ),
        Option(
            "slow_sql_s",
            "慢 SQL 阈值（秒）",
            "A statement is slow from, seconds",
            SLOW_SQL_S,
            help_zh="报表的慢 SQL 列表从这么久的语句开始。",
            help_en="The reports' list of slow SQL begins with statements that take this long.",
        ),
    ),
    prerequisites=(
        Prerequisite(
            "创建只能执行 status、extended-status 的用户（<RDMP> 换成本平台的地址），它看不到任何数据。",
            "Create a user that may only read status and extended-status (put the platform's address for <RDMP>); it "
            "sees no data.",
            "CREATE USER 'rdmp'@'<RDMP>' IDENTIFIED BY '********' WITH MAX_USER_CONNECTIONS 5;\n"
            "GRANT PROCESS, REPLICATION CLIENT ON *.* TO 'rdmp'@'<RDMP>';\n"
            "-- MariaDB 10.5+:\n"
            "GRANT REPLICA MONITOR ON *.* TO 'rdmp'@'<RDMP>';",
        ),
        Prerequisite(
            "报表列出慢 SQL 时：在配置文件中打开 performance_schema，并允许读取语句统计（其中没有任何值）。",
            "For the slow SQL in reports: switch performance_schema on in the server's configuration, and let the user "
            "read the statistics of statements (they hold no values).",
            "[mysqld]\nperformance_schema=ON\n\n"
            "GRANT SELECT ON performance_schema.events_statements_summary_by_digest TO 'rdmp'@'<RDMP>';",
        ),
        Prerequisite("验证。", "Verify.", "mysqladmin -h 127.0.0.1 -u rdmp -p status extended-status"),
    ),
)
