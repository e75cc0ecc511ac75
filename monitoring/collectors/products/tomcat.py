"""Tomcat over JMX: by its own manager's JMX proxy, or by Jolokia where the manager is not installed.

The manager is the default because every Tomcat ships it: nothing has to be downloaded onto the customer's host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitoring.collectors.products import jmxproxy, jolokia
from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit, share
from monitoring.collectors.products.jolokia import JVM, Read

MANAGER, JOLOKIA = "manager", "jolokia"
SUMS: Final = ("requestCount", "errorCount", "processingTime", "bytesSent", "bytesReceived")
SERVER: Final = Read("*:type=Server", ("serverInfo",))
OWN: Final = (
    SERVER,
    Read("*:type=GlobalRequestProcessor,*", SUMS),
    Read("*:type=ThreadPool,*", ("maxThreads", "currentThreadCount", "currentThreadsBusy")),
    Read("*:type=WebResourceRoot,*", ("hitCount", "lookupCount")),  # Tomcat 8 and newer
    Read("*:type=Cache,*", ("hitsCount", "accessCount")),  # Tomcat 7 and older
)

Bean = Mapping[str, Any]


def version(servers: object) -> str:
    """What a Tomcat says of itself; empty for a Java process that is none."""
    for bean in _beans(servers):
        if "serverInfo" in bean:
            return str(bean["serverInfo"])
    return ""


async def collect(visit: Visit) -> None:
    way = jolokia if visit.option("via", MANAGER) == JOLOKIA else jmxproxy
    async with visit.http() as http:
        *machine, servers, processors, pools, roots, caches = await way.ask(
            http, visit.config.path or way.PATH, (*JVM, *OWN)
        )
    if not version(servers):
        raise CannotReadError("wrong_product", "Java")
    visit.version("", version(servers))
    app = visit.option("app", "") or str(visit.config.port)
    jolokia.jvm(visit, machine, app=app, prefix="tomcat")
    runtime, _memory, system, _threads = machine
    visit.add("tomcat.uptime_s", float(runtime.get("Uptime", 0)) / 1000, app=app)
    if float(system.get("SystemCpuLoad", -1)) >= 0:  # negative means that the machine cannot tell yet
        visit.add("tomcat.system_cpu_load", float(system["SystemCpuLoad"]) * 100, app=app)
    if float(system.get("SystemLoadAverage", -1)) >= 0:
        visit.add("tomcat.system_load_average", float(system["SystemLoadAverage"]), app=app)
    _connectors(visit, _beans(processors), _beans(pools), app)
    _cache(visit, [*_beans(roots), *_beans(caches)], app)


def _beans(value: object) -> list[Bean]:
    return [bean for bean in value.values() if isinstance(bean, Mapping)] if isinstance(value, Mapping) else []


def _sum(beans: Sequence[Bean], *names: str) -> float:
    """Over all beans, by the first of the names that a bean has."""
    return sum(float(next((bean[name] for name in names if name in bean), 0)) for bean in beans)


def _connectors(visit: Visit, processors: Sequence[Bean], pools: Sequence[Bean], app: str) -> None:
    """All connectors of the process together."""
    total = {name: _sum(processors, name) for name in SUMS}
    visit.add("tomcat.requests", total["requestCount"], app=app)
    visit.add("tomcat.errors", total["errorCount"], app=app)
    visit.add("tomcat.bytes_sent", total["bytesSent"], app=app)
    visit.add("tomcat.bytes_received", total["bytesReceived"], app=app)
    visit.rate("tomcat.processing_ms_per_s", total["processingTime"], app=app)
    visit.rate("tomcat.requests_per_s", total["requestCount"], app=app)
    limited = [pool for pool in pools if float(pool.get("maxThreads", -1)) > 0]
    visit.add("tomcat.threads_max", _sum(limited, "maxThreads"), app=app)
    visit.add("tomcat.threads", _sum(limited, "currentThreadCount"), app=app)
    visit.add("tomcat.threads_busy", _sum(limited, "currentThreadsBusy"), app=app)


def _cache(visit: Visit, beans: Sequence[Bean], app: str) -> None:
    """The directory caches of all applications: look-ups, and how many of those since the last look were hits."""
    lookups, hits = _sum(beans, "lookupCount", "accessCount"), _sum(beans, "hitCount", "hitsCount")
    visit.add("tomcat.cache_lookups", lookups, app=app)
    sought, found = visit.counters.increase("lookups", lookups), visit.counters.increase("hits", hits)
    if sought and found is not None:
        visit.add("tomcat.cache_hit_pct", share(found, sought), app=app)


PRODUCT: Final = Product(
    slug="tomcat",
    name_zh="Tomcat",
    name_en="Tomcat",
    icon="server",
    port=8080,
    user="rdmp",
    collect=collect,
    asks=frozenset({"path", "tls", "user", "password"}),
    needs="Tomcat ≥ 7",
    options=(
        Option(
            "via",
            "读取方式",
            "Read through",
            MANAGER,
            choices=(MANAGER, JOLOKIA),
            help_zh="manager：Tomcat 自带的 JMX 代理，无需下载；jolokia：catalina.sh 中的 agent（端口 8778）。",
            help_en="manager: Tomcat's own JMX proxy, no download; jolokia: the agent in catalina.sh (port 8778).",
        ),
        Option(
            "app",
            "实例名称",
            "Name of this instance",
            help_zh="同一主机上有多个实例时用于区分；留空则用端口。",
            help_en="Tells instances of one host apart; empty: the port.",
        ),
    ),
    prerequisites=(
        Prerequisite(
            "方式一（manager，默认）：在 conf/tomcat-users.xml 中添加只能读取 JMX 的用户。",
            "First way (manager, the default): add a user that may only read JMX to conf/tomcat-users.xml.",
            '<role rolename="manager-jmx"/>\n<user username="rdmp" password="********" roles="manager-jmx"/>',
        ),
        Prerequisite(
            "在 webapps/manager/META-INF/context.xml 的 RemoteAddrValve 中允许本平台（<RDMP>）。",
            "Let the platform (<RDMP>) in by the RemoteAddrValve of webapps/manager/META-INF/context.xml.",
            '<Valve className="org.apache.catalina.valves.RemoteAddrValve"\n'
            '       allow="127\\.\\d+\\.\\d+\\.\\d+|::1|0:0:0:0:0:0:0:1|<RDMP>" />',
        ),
        Prerequisite(
            "方式二（jolokia，没有 manager 应用时）：在 catalina.sh 或 catalina.bat 中添加 jmx 配置。",
            "Second way (jolokia, without a manager): add the JMX configuration to catalina.sh or catalina.bat.",
            f'CATALINA_OPTS="$CATALINA_OPTS {jolokia.AGENT}"',
        ),
        Prerequisite(
            "重启 Tomcat 并验证。",
            "Restart Tomcat and verify.",
            "catalina.sh stop && catalina.sh start\n"
            "curl -u rdmp 'http://127.0.0.1:8080/manager/jmxproxy/?qry=java.lang:type=Memory'",
        ),
    ),
)
