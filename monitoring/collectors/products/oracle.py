"""Oracle Database from oracledb_exporter's page: sessions, waits, tablespaces, limits (R34).

The exporter runs beside the database with Oracle's own client and a read-only user; the platform needs neither.
"""

from __future__ import annotations

from typing import Final

from monitoring.collectors.products import pages
from monitoring.collectors.products.frame import Prerequisite, Product, Visit, share


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        page = pages.read(await http.get(visit.config.path or "/metrics"), "oracledb_")
    figures: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in page:
        figures.setdefault(name, []).append((dict(labels), value))
    if "oracledb_up" not in figures:
        visit.lacks("wrong_product", "oracledb_up")
        return
    up = figures["oracledb_up"][0][1]
    visit.add("oracle.up", up)
    if up != 1:
        return  # the exporter answers and the database does not: old figures are not of now
    sessions: dict[str, float] = {}
    for labels, value in figures.get("oracledb_sessions_value", ()):
        status = labels.get("status", "").lower()
        sessions[status] = sessions.get(status, 0.0) + value
    for status, value in sessions.items():
        visit.add("oracle.sessions", value, status=status)
    used = {
        labels.get("resource_name", ""): value
        for labels, value in figures.get("oracledb_resource_current_utilization", ())
    }
    for labels, limit in figures.get("oracledb_resource_limit_value", ()):
        name = labels.get("resource_name", "")
        if limit > 0 and name in used:
            visit.add("oracle.resource.util", share(used[name], limit), resource=name)
    _tablespaces(visit, figures)
    for metric, name in (
        ("oracle.commits_per_s", "oracledb_activity_user_commits"),
        ("oracle.executes_per_s", "oracledb_activity_execute_count"),
        ("oracle.parses_per_s", "oracledb_activity_parse_count_total"),
    ):
        if found := figures.get(name):
            visit.rate(metric, found[0][1])


def _tablespaces(visit: Visit, figures: dict[str, list[tuple[dict[str, str], float]]]) -> None:
    used = {labels.get("tablespace", ""): value for labels, value in figures.get("oracledb_tablespace_bytes", ())}
    for labels, most in figures.get("oracledb_tablespace_max_bytes", ()):
        name = labels.get("tablespace", "")
        if most > 0 and name in used:
            visit.add("oracle.tablespace.util", share(used[name], most), tablespace=name)


PRODUCT: Final = Product(
    slug="oracle",
    name_zh="Oracle",
    name_en="Oracle",
    icon="database-cog",
    port=9161,
    path="/metrics",
    collect=collect,
    asks=frozenset({"path", "tls", "user", "password"}),
    needs="oracledb_exporter ≥ 0.3",
    prerequisites=(
        Prerequisite(
            "在数据库中建立只读用户。",
            "Make a read-only user in the database.",
            'CREATE USER rdmp IDENTIFIED BY "<PASSWORD>";\nGRANT CREATE SESSION, SELECT_CATALOG_ROLE TO rdmp;',
        ),
        Prerequisite(
            "在数据库主机上运行 oracledb_exporter，并只对本平台开放其端口。",
            "Run oracledb_exporter on the database's host and open its port to the platform only.",
            "DATA_SOURCE_NAME='rdmp/<PASSWORD>@//localhost:1521/ORCL' oracledb_exporter",
        ),
        Prerequisite(
            "验证：应看到 oracledb_up 1。",
            "Verify: it must say oracledb_up 1.",
            "curl -s http://127.0.0.1:9161/metrics | grep oracledb_up",
        ),
    ),
)
