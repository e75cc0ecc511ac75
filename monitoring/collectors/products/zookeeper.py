"""ZooKeeper by its four-letter word ``mntr``: the contract's seventeen items, latencies in seconds."""

from __future__ import annotations

import re
from typing import Final

from monitoring.collectors.products.frame import CannotReadError, Prerequisite, Product, Visit, share

LATENCIES: Final = {"zk_avg_latency": "avg", "zk_max_latency": "max", "zk_min_latency": "min"}
GAUGES: Final = {
    "zk_outstanding_requests": "zookeeper.outstanding",
    "zk_max_file_descriptor_count": "zookeeper.fd_max",
    "zk_open_file_descriptor_count": "zookeeper.fd_open",
    "zk_approximate_data_size": "zookeeper.data_bytes",
    "zk_ephemerals_count": "zookeeper.ephemerals",
    "zk_num_alive_connections": "zookeeper.connections",
    "zk_packets_received": "zookeeper.packets_received",
    "zk_packets_sent": "zookeeper.packets_sent",
    "zk_watch_count": "zookeeper.watches",
    "zk_znode_count": "zookeeper.znodes",
    "zk_synced_followers": "zookeeper.synced_followers",
    "zk_pending_syncs": "zookeeper.pending_syncs",
}
FOLLOWERS: Final = ("zk_followers", "zk_learners")
"""The leader's count of followers; ZooKeeper 3.6 counts observers along under the newer name."""
PAGE_LIMIT: Final = 1024 * 1024


def read(text: str) -> dict[str, str]:
    """``name<tab>value`` lines. Raises CannotReadError for what ZooKeeper says instead of them."""
    if "not in the whitelist" in text:
        raise CannotReadError("disabled", "4lw.commands.whitelist=mntr")
    if "not currently serving" in text:
        raise CannotReadError("server_error", text.strip()[:200])
    found = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    if "zk_server_state" not in found:
        raise CannotReadError("wrong_page", f"mntr: {text[:80]!r}")
    return found


async def collect(visit: Visit) -> None:
    async with visit.stream() as (reader, writer):
        writer.write(b"mntr")
        await writer.drain()
        writer.write_eof()
        page = read((await reader.read(PAGE_LIMIT)).decode("utf-8", "replace"))
    version = re.match(r"[\d.]+", page.get("zk_version", ""))
    visit.version("ZooKeeper", version[0] if version else "", at_least=(3, 4))
    visit.fact("role", page["zk_server_state"])
    for name, which in LATENCIES.items():
        if name in page:
            visit.add(f"zookeeper.{which}_latency_s", float(page[name]) / 1000)  # the source gives milliseconds
    for name, metric in GAUGES.items():
        if name in page:
            visit.add(metric, float(page[name]))
    followers = next((page[name] for name in FOLLOWERS if name in page), None)
    if followers is not None:
        visit.add("zookeeper.followers", float(followers))
    if "zk_open_file_descriptor_count" in page:
        opened = float(page["zk_open_file_descriptor_count"])
        visit.add("zookeeper.fd.util", share(opened, float(page.get("zk_max_file_descriptor_count", 0))))


PRODUCT: Final = Product(
    slug="zookeeper",
    name_zh="ZooKeeper",
    name_en="ZooKeeper",
    icon="topology-star-3",
    port=2181,
    collect=collect,
    needs="ZooKeeper ≥ 3.4",
    prerequisites=(
        Prerequisite(
            "提供 ZooKeeper 的监听地址及端口（zoo.cfg 的 clientPort），并允许本平台（<RDMP>）访问。",
            "Tell the address and port ZooKeeper listens on (clientPort in zoo.cfg) and let the platform (<RDMP>) in.",
            "clientPort=2181",
        ),
        Prerequisite(
            "3.5.3 及以上：在 zoo.cfg 中允许 mntr 命令并重启。",
            "3.5.3 and newer: allow the command mntr in zoo.cfg and restart.",
            "4lw.commands.whitelist=mntr,ruok",
        ),
        Prerequisite(
            "重启并验证：应看到 zk_server_state。",
            "Restart and verify: it must say zk_server_state.",
            "zkServer.sh restart\necho mntr | nc 127.0.0.1 2181",
        ),
    ),
)
