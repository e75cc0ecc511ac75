"""Java programs by Jolokia: any JVM, and those the template form names: Resin and Ehcache (R34)."""

from __future__ import annotations

from typing import Final

from monitoring.collectors.products import jolokia, tomcat
from monitoring.collectors.products.frame import CannotReadError, Option, Product, Visit
from monitoring.collectors.products.jolokia import JVM, Read

RESIN: Final = (
    Read("resin:type=ThreadPool", ("ThreadActiveCount", "ThreadIdleCount", "ThreadCount")),
    Read("resin:type=Server,*", ("RequestCountTotal", "KeepaliveCount", "State")),
)
EHCACHE: Final = (
    Read(
        "net.sf.ehcache:type=CacheStatistics,*", ("CacheHits", "CacheMisses", "ObjectCount", "MemoryStoreObjectCount")
    ),
)
APP: Final = Option(
    "app",
    "程序名",
    "Name of the program",
    "",
    help_zh="同一台主机上有多个 Java 程序时用来区分；留空则用产品名。",
    help_en="Tells several Java programs of one host apart; empty: the name of the product.",
)


def app_of(visit: Visit, otherwise: str) -> str:
    return visit.option("app", "") or otherwise


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        *values, servers = await jolokia.ask(http, visit.config.path or jolokia.PATH, (*JVM, tomcat.SERVER))
    if named := tomcat.version(servers):  # its own product has the same alarms: one process, one template
        raise CannotReadError("wrong_product", named)
    jolokia.jvm(visit, values, app=app_of(visit, "java"))


async def collect_resin(visit: Visit) -> None:
    async with visit.http() as http:
        *common, pool, servers = await jolokia.ask(http, visit.config.path or jolokia.PATH, (*JVM, *RESIN))
    app = app_of(visit, "resin")
    jolokia.jvm(visit, common, app=app)
    if isinstance(pool, dict):
        visit.add("resin.threads_active", float(pool.get("ThreadActiveCount", 0)), app=app)
        visit.add("resin.threads_idle", float(pool.get("ThreadIdleCount", 0)), app=app)
    for server in jolokia.named(servers, "name").values():
        visit.rate("resin.requests_per_s", float(server.get("RequestCountTotal", 0)), app=app)
        break
    else:
        visit.lacks("wrong_product", "resin:type=Server")


async def collect_ehcache(visit: Visit) -> None:
    async with visit.http() as http:
        *common, caches = await jolokia.ask(http, visit.config.path or jolokia.PATH, (*JVM, *EHCACHE))
    jolokia.jvm(visit, common, app=app_of(visit, "ehcache"))
    found = jolokia.named(caches, "name")
    if not found:
        visit.lacks("disabled", "net.sf.ehcache:type=CacheStatistics")
    for name, cache in found.items():
        hits, misses = float(cache.get("CacheHits", 0)), float(cache.get("CacheMisses", 0))
        visit.add("ehcache.objects", float(cache.get("ObjectCount", 0)), cache=name)
        hit = visit.counters.increase(f"hits {name}", hits)
        missed = visit.counters.increase(f"misses {name}", misses)
        if hit is not None and missed is not None and hit + missed > 0:
            visit.add("ehcache.hit_pct", hit / (hit + missed) * 100, cache=name)


_ASKS: Final = frozenset({"user", "password", "tls", "path"})

PRODUCT: Final = Product(
    slug="java",
    name_zh="Java 程序",
    name_en="Java program",
    icon="coffee",
    port=jolokia.PORT,
    path=jolokia.PATH,
    user="rdmp",
    collect=collect,
    asks=_ASKS,
    options=(APP,),
    needs="Java ≥ 8, Jolokia ≥ 1.6",
    prerequisites=jolokia.prerequisites(
        "在启动参数中加入（改好密码）并重启。",
        "Add to the start options (choose a password) and restart.",
        jolokia.AGENT,
    ),
)
RESIN_PRODUCT: Final = Product(
    slug="resin",
    name_zh="Resin",
    name_en="Resin",
    icon="server-2",
    port=jolokia.PORT,
    path=jolokia.PATH,
    user="rdmp",
    collect=collect_resin,
    asks=_ASKS,
    options=(APP,),
    needs="Resin 4, Jolokia ≥ 1.6",
    prerequisites=jolokia.prerequisites(
        "在 resin.xml 的 <server-default> 中加入 <jvm-arg>（改好密码）并重启。",
        "Add as a <jvm-arg> to <server-default> of resin.xml (choose a password) and restart.",
        f"<jvm-arg>{jolokia.AGENT}</jvm-arg>",
    ),
)
EHCACHE_PRODUCT: Final = Product(
    slug="ehcache",
    name_zh="Ehcache",
    name_en="Ehcache",
    icon="stack-2",
    port=jolokia.PORT,
    path=jolokia.PATH,
    user="rdmp",
    collect=collect_ehcache,
    asks=_ASKS,
    options=(APP,),
    needs="Ehcache 2.x, Jolokia ≥ 1.6",
    prerequisites=(
        *jolokia.prerequisites(
            "在使用 Ehcache 的程序的启动参数中加入（改好密码）。",
            "Add to the start options of the program that uses Ehcache (choose a password).",
            jolokia.AGENT,
        ),
    ),
)
