"""Memcached by its ``stats`` command."""

from __future__ import annotations

import asyncio
from typing import Final

from monitoring.collectors.products.frame import CannotReadError, Prerequisite, Product, Visit, share


async def _stats(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
        if line == "END":
            return found
        word, _, rest = line.partition(" ")
        if word != "STAT":
            code = "sign_in" if "auth" in line.lower() else "wrong_page"
            raise CannotReadError(code, f"memcached: {line[:80]!r}")
        name, _, value = rest.partition(" ")
        found[name] = value
    raise EOFError


async def collect(visit: Visit) -> None:
    async with visit.stream() as (reader, writer):
        writer.write(b"stats\r\n")
        await writer.drain()
        stats = await _stats(reader)
    visit.version("Memcached", stats.get("version", ""), at_least=(1, 2))
    number = {name: float(value) for name, value in stats.items() if value.replace(".", "", 1).isdigit()}
    visit.counters.began_at(number["time"] - number["uptime"])
    visit.add("memcached.uptime_s", number["uptime"])
    visit.add("memcached.connections", number["curr_connections"])
    visit.add("memcached.connection.util", share(number["curr_connections"], number.get("max_connections", 0)))
    visit.add("memcached.mem.util", share(number["bytes"], number["limit_maxbytes"]))
    visit.add("memcached.items", number["curr_items"])
    visit.rate("memcached.gets_per_s", number["cmd_get"])
    visit.rate("memcached.sets_per_s", number["cmd_set"])
    visit.rate("memcached.evictions_per_s", number["evictions"])
    hits = visit.counters.increase("hits", number["get_hits"])
    misses = visit.counters.increase("misses", number["get_misses"])
    if hits is not None and misses is not None:
        visit.add("memcached.hit_pct", share(hits, hits + misses))


PRODUCT: Final = Product(
    slug="memcached",
    name_zh="Memcached",
    name_en="Memcached",
    icon="bolt",
    port=11211,
    collect=collect,
    needs="Memcached ≥ 1.2",
    prerequisites=(
        Prerequisite(
            "让本平台可以连接监听地址和端口（-l 不能只是 127.0.0.1），并用防火墙只放行 <RDMP>。",
            "Let the platform reach the address (-l must not be 127.0.0.1 alone), and by firewall only <RDMP>.",
            "memcached -l 0.0.0.0 -p 11211 -U 0\niptables -A INPUT -p tcp --dport 11211 ! -s <RDMP> -j DROP",
        ),
        Prerequisite(
            "重启服务并验证。",
            "Restart and verify.",
            "systemctl restart memcached\nprintf 'stats\\r\\nquit\\r\\n' | nc 127.0.0.1 11211",
        ),
    ),
)
