"""Nginx by its stub_status page: seven figures, no uptime. A restart shows as counters that began again."""

from __future__ import annotations

import re
from typing import Final

from monitoring.collectors.products.frame import CannotReadError, Prerequisite, Product, Visit

PAGE: Final = re.compile(
    r"Active connections:\s*(?P<active>\d+)\s+"
    r"server accepts handled requests(?: request_time)?\s+"
    r"(?P<accepts>\d+)\s+(?P<handled>\d+)\s+(?P<requests>\d+)[\d ]*\s+"
    r"Reading:\s*(?P<reading>\d+)\s+Writing:\s*(?P<writing>\d+)\s+Waiting:\s*(?P<waiting>\d+)"
)


def read(text: str) -> dict[str, int]:
    """The seven figures of a stub_status page (also of Tengine's, which has one more)."""
    match = PAGE.search(text)
    if match is None:
        raise CannotReadError("wrong_page", f"stub_status: {text[:80]!r}")
    return {name: int(value) for name, value in match.groupdict().items()}


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        page = read(await http.get(visit.config.path or PRODUCT.path))
    for name, value in page.items():
        visit.add(f"nginx.{name}", value)
    visit.rate("nginx.requests_per_s", page["requests"])


PRODUCT: Final = Product(
    slug="nginx",
    name_zh="Nginx",
    name_en="Nginx",
    icon="hexagon-letter-n",
    port=8099,
    path="/nginx_status",
    collect=collect,
    asks=frozenset({"path", "tls"}),
    needs="Nginx (stub_status)",
    prerequisites=(
        Prerequisite(
            "在 nginx.conf 的 http 段中添加一个 server（<RDMP> 换成本平台的地址）。",
            "Add a server to the http section of nginx.conf (put the platform's address for <RDMP>).",
            "server {\n"
            "    listen 8099;\n"
            "    location = /nginx_status {\n"
            "        stub_status;\n"
            "        access_log off;\n"
            "        allow <RDMP>;\n"
            "        deny all;\n"
            "    }\n"
            "}",
        ),
        Prerequisite(
            "检查配置并重启服务。", "Check the configuration and restart.", "nginx -t && systemctl restart nginx"
        ),
        Prerequisite(
            "验证：应看到 Active connections。",
            "Verify: it must say Active connections.",
            "curl http://127.0.0.1:8099/nginx_status",
        ),
    ),
)
