"""PHP-FPM by its status page, through the web server in front of it or directly over FastCGI."""

from __future__ import annotations

import json
from typing import Any, Final

from monitoring.collectors.products import fastcgi
from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit

HTTP, FASTCGI = "http", "fastcgi"


def read(text: str) -> dict[str, Any]:
    """The status as JSON."""
    try:
        page = json.loads(text)
    except ValueError:
        page = None
    if not isinstance(page, dict) or "max children reached" not in page:
        raise CannotReadError("wrong_page", f"php-fpm: {text[:80]!r}")
    return page


async def _directly(visit: Visit, path: str) -> str:
    params = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": path, "SCRIPT_FILENAME": path, "REQUEST_URI": f"{path}?json",
        "QUERY_STRING": "json", "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
    }  # fmt: skip
    async with visit.stream() as (reader, writer):
        writer.write(fastcgi.request(params))
        await writer.drain()
        status, body = await fastcgi.answer(reader)
    if status != 200:
        raise CannotReadError("path_missing" if status == 404 else "server_error", f"pm.status_path {path}: {status}")
    return body


async def collect(visit: Visit) -> None:
    path = visit.config.path or PRODUCT.path
    if visit.option("via", HTTP) == FASTCGI:
        page = read(await _directly(visit, path))
    else:
        async with visit.http() as http:
            page = read(await http.get(f"{path}?json"))
    pool = str(page.get("pool", ""))
    visit.counters.began_at(float(page.get("start time", 0)))
    visit.fact("pool", pool)
    visit.add("phpfpm.listen_queue", page["listen queue"], pool=pool)
    visit.add("phpfpm.max_children_reached", page["max children reached"], pool=pool)
    visit.add("phpfpm.active_processes", page["active processes"], pool=pool)
    visit.add("phpfpm.idle_processes", page["idle processes"], pool=pool)
    visit.add("phpfpm.processes", page["total processes"], pool=pool)
    visit.rate("phpfpm.requests_per_s", page["accepted conn"], pool=pool)
    visit.rate("phpfpm.slow_requests_per_s", page.get("slow requests", 0), pool=pool)


PRODUCT: Final = Product(
    slug="php-fpm",
    name_zh="PHP-FPM",
    name_en="PHP-FPM",
    icon="brand-php",
    port=80,
    path="/fpm-status",
    collect=collect,
    asks=frozenset({"path", "tls"}),
    needs="PHP-FPM ≥ 5.3",
    options=(
        Option(
            "via",
            "读取方式",
            "Read through",
            HTTP,
            choices=(HTTP, FASTCGI),
            help_zh="http：经 Nginx 的 location；fastcgi：直接连接 PHP-FPM 的监听端口。",
            help_en="http: a location of Nginx; fastcgi: the port PHP-FPM itself listens on.",
        ),
    ),
    prerequisites=(
        Prerequisite(
            "在 php-fpm.conf（或 pool.d/www.conf）中开启状态页。",
            "Switch the status page on in php-fpm.conf (or pool.d/www.conf).",
            "pm.status_path = /fpm-status",
        ),
        Prerequisite(
            "在 Nginx 中添加 location（fastcgi_pass 与网站的相同，<RDMP> 换成本平台的地址）。",
            "Add a location to Nginx (fastcgi_pass as the site has it; put the platform's address for <RDMP>).",
            "location = /fpm-status {\n"
            "    allow <RDMP>;\n"
            "    deny all;\n"
            "    include fastcgi_params;\n"
            "    fastcgi_param SCRIPT_NAME /fpm-status;\n"
            "    fastcgi_param SCRIPT_FILENAME /fpm-status;\n"
            "    fastcgi_pass 127.0.0.1:9000;\n"
            "}",
        ),
        Prerequisite(
            "重启两个服务。", "Restart both.", "systemctl restart php-fpm && nginx -t && systemctl restart nginx"
        ),
        Prerequisite(
            "验证：应看到 max children reached。",
            "Verify: it must say max children reached.",
            "curl 'http://127.0.0.1/fpm-status?json'",
        ),
    ),
)
