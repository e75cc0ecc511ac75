"""HAProxy by its statistics page as CSV: proxies, their servers, and which are down."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Final

from monitoring.collectors.products.frame import CannotReadError, Prerequisite, Product, Visit, share

GOOD: Final = ("UP", "OPEN", "no check")
OUT_OF_DUTY: Final = ("MAINT", "DRAIN", "NOLB")
"""What a person took out on purpose is not down."""
Row = Mapping[str, str]


def read(text: str) -> Sequence[Row]:
    """The rows of the CSV. Raises CannotReadError for a page that is not HAProxy's."""
    if not text.startswith("# pxname,"):
        raise CannotReadError("wrong_page", f"haproxy: {text[:80]!r}")
    return list(csv.DictReader(text.removeprefix("# ").splitlines()))


def is_down(row: Row) -> bool:
    return not row["status"].startswith((*GOOD, *OUT_OF_DUTY))


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        rows = read(await http.get(f"{visit.config.path or PRODUCT.path};csv"))
    down: dict[str, int] = {}
    for row in rows:
        proxy, kind = row["pxname"], row["svname"]
        if kind == "FRONTEND":
            _frontend(visit, row)
        elif kind == "BACKEND":
            visit.add("haproxy.queue", _number(row, "qcur"), proxy=proxy)
            visit.add("haproxy.active_servers", _number(row, "act"), proxy=proxy)
            down.setdefault(proxy, 0)
        else:
            down[proxy] = down.get(proxy, 0) + is_down(row)
            visit.add("haproxy.server.down", is_down(row), proxy=proxy, server=kind)
            if is_down(row):
                visit.step("health", f"{proxy}/{kind}: {row['status']} {row.get('last_chk', '')}".strip())
    for proxy, count in down.items():
        visit.add("haproxy.unhealthy_servers", count, proxy=proxy)


def _frontend(visit: Visit, row: Row) -> None:
    proxy = row["pxname"]
    visit.add("haproxy.sessions", _number(row, "scur"), proxy=proxy)
    visit.add("haproxy.session.util", share(_number(row, "scur"), _number(row, "slim")), proxy=proxy)
    visit.rate("haproxy.sessions_per_s", _number(row, "stot"), proxy=proxy)
    visit.rate("haproxy.in_bytes_per_s", _number(row, "bin"), proxy=proxy)
    visit.rate("haproxy.out_bytes_per_s", _number(row, "bout"), proxy=proxy)
    if row.get("req_tot"):
        visit.rate("haproxy.requests_per_s", _number(row, "req_tot"), proxy=proxy)
        visit.rate("haproxy.server_errors_per_s", _number(row, "hrsp_5xx"), proxy=proxy)


def _number(row: Row, name: str) -> float:
    return float(row.get(name) or 0)


PRODUCT: Final = Product(
    slug="haproxy",
    name_zh="HAProxy",
    name_en="HAProxy",
    icon="arrows-split",
    port=8404,
    path="/stats",
    collect=collect,
    asks=frozenset({"path", "tls", "user", "password"}),
    needs="HAProxy ≥ 1.5",
    prerequisites=(
        Prerequisite(
            "在 haproxy.cfg 中添加统计页（<RDMP> 换成本平台的地址）。",
            "Add the statistics page to haproxy.cfg (put the platform's address for <RDMP>).",
            "frontend stats\n"
            "    bind *:8404\n"
            "    mode http\n"
            "    http-request deny unless { src <RDMP> }\n"
            "    stats enable\n"
            "    stats uri /stats",
        ),
        Prerequisite(
            "检查配置并重新加载。",
            "Check the configuration and reload.",
            "haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
        ),
    ),
)
