"""Apache httpd by mod_status in its machine-readable form (``?auto``)."""

from __future__ import annotations

from typing import Final

from monitoring.collectors.products.frame import CannotReadError, Prerequisite, Product, Visit

CPU: Final = ("CPUUser", "CPUSystem", "CPUChildrenUser", "CPUChildrenSystem")


def read(text: str) -> dict[str, str]:
    """``Name: value`` lines. Raises CannotReadError for a page that is not mod_status'."""
    found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if "BusyWorkers" not in found:
        raise CannotReadError("wrong_page", f"mod_status: {text[:80]!r}")
    return found


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        page = read(await http.get(f"{visit.config.path or PRODUCT.path}?auto"))
    if "ServerVersion" in page:
        visit.version("", page["ServerVersion"])
    visit.add("apache.workers_busy", float(page["BusyWorkers"]))
    visit.add("apache.workers_idle", float(page.get("IdleWorkers", 0)))
    uptime = page.get("ServerUptimeSeconds") or page.get("Uptime")
    if uptime is None or "CPUUser" not in page:
        visit.lacks("disabled", "ExtendedStatus On")
    if uptime is not None:
        visit.add("apache.uptime_s", float(uptime))
        visit.counters.began_at(visit.counters.at - float(uptime))
    if "CPUUser" in page:
        visit.rate("apache.cpu_load", sum(float(page.get(name, 0)) for name in CPU), scale=100)
    if "Total Accesses" in page:
        visit.rate("apache.requests_per_s", int(page["Total Accesses"]))
    if "Total kBytes" in page:
        visit.rate("apache.bytes_per_s", int(page["Total kBytes"]), scale=1024)


PRODUCT: Final = Product(
    slug="apache",
    name_zh="Apache",
    name_en="Apache httpd",
    icon="feather",
    port=80,
    path="/server-status",
    collect=collect,
    asks=frozenset({"path", "tls"}),
    needs="Apache ≥ 2.2 (mod_status)",
    prerequisites=(
        Prerequisite(
            "在 httpd.conf 中添加 location（<RDMP> 换成本平台的地址）。",
            "Add a location to httpd.conf (put the platform's address for <RDMP>).",
            "LoadModule status_module modules/mod_status.so\n"
            "ExtendedStatus On\n"
            "<Location /server-status>\n"
            "    SetHandler server-status\n"
            "    Require ip <RDMP>\n"
            "</Location>",
        ),
        Prerequisite(
            "检查配置并重启服务。", "Check the configuration and restart.", "apachectl -t && apachectl restart"
        ),
        Prerequisite(
            "验证：应看到 BusyWorkers。",
            "Verify: it must say BusyWorkers.",
            "curl 'http://127.0.0.1/server-status?auto'",
        ),
    ),
)
