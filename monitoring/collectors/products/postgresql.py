"""PostgreSQL by its statistics views. psycopg2 in a thread; libpq is told the address the guard has checked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import psycopg2
from psycopg2.extras import DictCursor

from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit, share

LONG_QUERY_S: Final = 60
DATABASES: Final = """
SELECT sum(numbackends) AS connections, sum(xact_commit + xact_rollback) AS transactions,
       sum(blks_hit) AS hit, sum(blks_read) AS read, sum(deadlocks) AS deadlocks,
       sum(temp_files) AS temp_files, sum(temp_bytes) AS temp_bytes,
       current_setting('max_connections')::int AS most,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       pg_is_in_recovery() AS is_replica, current_user AS role, current_setting('server_version') AS version,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM pg_stat_database
"""
ACTIVITY: Final = """
SELECT count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%%') AS idle_in_transaction,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
       count(*) FILTER (WHERE state = 'active'
                        AND query_start < now() - make_interval(secs => %(long_s)s)) AS long_ones,
       coalesce(max(extract(epoch FROM now() - query_start)) FILTER (WHERE state = 'active'), 0)::float8 AS longest,
       coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8 AS longest_transaction
FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
REPLAY: Final = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) END::float8 AS lag
"""
NO_PASSWORD: Final = ("password authentication failed", "no password supplied", "authentication failed")


@dataclass(frozen=True)
class Answers:
    databases: dict[str, Any]
    activity: dict[str, Any]
    lag_s: float | None


def _ask(visit: Visit, address: str) -> Answers:
    config = visit.config
    mode = "disable" if not config.tls else "verify-full" if config.verify_tls else "require"
    seconds = max(2, round(config.timeout_s))
    connection = psycopg2.connect(
        host=config.host,
        hostaddr=address,
        port=config.port,
        user=config.user,
        password=visit.password,
        dbname=visit.option("database", "postgres"),
        sslmode=mode,
        sslrootcert="system" if mode == "verify-full" else "",
        connect_timeout=seconds,
        tcp_user_timeout=seconds * 1000,
        options=f"-c statement_timeout={seconds * 1000}",
        application_name="rdmp",
    )
    try:
        connection.set_session(readonly=True, autocommit=True)
        cursor: Any  # the stubs leave DictCursor untyped
        with connection.cursor(cursor_factory=DictCursor) as cursor:
            cursor.execute(DATABASES)
            databases = dict(cursor.fetchone())
            cursor.execute(ACTIVITY, {"long_s": visit.option("long_query_s", LONG_QUERY_S)})
            activity = dict(cursor.fetchone())
            lag = None
            if databases["is_replica"]:
                cursor.execute(REPLAY)
                lag = cursor.fetchone()[0]
    finally:
        connection.close()
    return Answers(databases, activity, lag)


async def collect(visit: Visit) -> None:
    with await visit.connect() as sock:
        address = str(sock.getpeername()[0])
    try:
        found = await asyncio.to_thread(_ask, visit, address)
    except psycopg2.Error as error:
        raise _refusal(error) from error
    row, activity = found.databases, found.activity
    visit.step("signed_in", row["role"])
    visit.version("PostgreSQL", row["version"], at_least=(10,))
    visit.fact("role", "replica" if row["is_replica"] else "primary")
    visit.counters.began_at(row["started"])
    visit.add("postgresql.start_time", row["started"])
    visit.add("postgresql.connections", row["connections"])
    visit.add("postgresql.connection.util", share(float(row["connections"]), row["most"]))
    visit.add("postgresql.deadlocks", row["deadlocks"])
    visit.rate("postgresql.tps", int(row["transactions"]))
    visit.rate("postgresql.temp_files_per_s", int(row["temp_files"]))
    visit.rate("postgresql.temp_bytes_per_s", int(row["temp_bytes"]))
    hit = visit.counters.increase("hit", int(row["hit"]))
    read = visit.counters.increase("read", int(row["read"]))
    if hit is not None and read is not None:
        visit.add("postgresql.cache_hit_pct", share(hit, hit + read))
    if found.lag_s is not None:
        visit.add("postgresql.replica.lag_s", found.lag_s)
    if not row["sees_all"]:
        visit.lacks("privilege", f'GRANT pg_monitor TO "{row["role"]}";')
        return
    for name in ("active", "idle_in_transaction", "waiting"):
        visit.add(f"postgresql.sessions_{name}", activity[name])
    visit.add("postgresql.long_queries", activity["long_ones"])
    visit.add("postgresql.longest_query_s", activity["longest"])
    visit.add("postgresql.longest_transaction_s", activity["longest_transaction"])


def _refusal(error: psycopg2.Error) -> CannotReadError | OSError:
    text = " ".join(str(error).split())
    if any(words in text for words in NO_PASSWORD):
        return CannotReadError("sign_in", text)
    if "pg_hba.conf" in text:
        return CannotReadError("forbidden", text)
    if "timeout expired" in text or "timed out" in text:
        return TimeoutError(text)
    if "SSL" in text or "certificate" in text:
        return CannotReadError("tls", text)
    if "does not exist" in text:
        return CannotReadError("path_missing" if "database" in text else "sign_in", text)
    return CannotReadError("server_error" if "FATAL" in text else "wrong_page", text)


PRODUCT: Final = Product(
    slug="postgresql",
    name_zh="PostgreSQL",
    name_en="PostgreSQL",
    icon="database-heart",
    port=5432,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="PostgreSQL ≥ 10",
    options=(
        Option("database", "数据库", "Database", "postgres"),
        Option("long_query_s", "长查询阈值（秒）", "A query is long after, seconds", LONG_QUERY_S),
    ),
    prerequisites=(
        Prerequisite(
            "创建只读统计信息的用户。",
            "Create a user that may only read statistics.",
            "CREATE USER rdmp PASSWORD '********' CONNECTION LIMIT 5;\nGRANT pg_monitor TO rdmp;",
        ),
        Prerequisite(
            "在 pg_hba.conf 中允许本平台连接并重新加载。",
            "Let the platform in by pg_hba.conf, and load it again.",
            "host  postgres  rdmp  <RDMP>/32  scram-sha-256\n\nSELECT pg_reload_conf();",
        ),
    ),
)
