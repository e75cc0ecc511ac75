"""RabbitMQ by its management API: nodes against their own limits, and the queues' totals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share

UTILITIES: Final = {
    "rabbitmq.fd.util": ("fd_used", "fd_total"),
    "rabbitmq.erlang_proc.util": ("proc_used", "proc_total"),
    "rabbitmq.socket.util": ("sockets_used", "sockets_total"),
}
AMOUNTS: Final = {
    "rabbitmq.disk_free_bytes": "disk_free",
    "rabbitmq.disk_free_limit_bytes": "disk_free_limit",
    "rabbitmq.mem_used_bytes": "mem_used",
    "rabbitmq.mem_limit_bytes": "mem_limit",
}
ALARMS: Final = "/api/health/checks/alarms"
"""Since 3.8; an older server answers 404 and is judged by its nodes' own words."""


async def _json(http: Http, path: str) -> Any:
    text = await http.get(path)
    try:
        return json.loads(text)
    except ValueError:
        raise CannotReadError("wrong_page", f"{path}: {text[:80]!r}") from None


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        who = await _json(http, "/api/whoami")
        visit.step("signed_in", str(who.get("name", "")))
        try:
            overview, nodes = await _json(http, "/api/overview"), await _json(http, "/api/nodes")
        except CannotReadError as error:
            if error.code != "sign_in":
                raise
            raise CannotReadError("privilege", f"rabbitmqctl set_user_tags {visit.config.user} monitoring") from error
        status, _ = await http.ask("GET", ALARMS, takes=frozenset({200, 404, 503}))
    visit.version("RabbitMQ", str(overview.get("rabbitmq_version", "")), at_least=(3, 0))
    for node in nodes:
        _node(visit, node, has_alarm=status == 503)
    _queues(visit, overview)


def _node(visit: Visit, node: Mapping[str, Any], *, has_alarm: bool) -> None:
    name = str(node["name"])
    for metric, field in AMOUNTS.items():
        if isinstance(node.get(field), int | float):
            visit.add(metric, node[field], node=name)
    for metric, (used, total) in UTILITIES.items():
        if isinstance(node.get(used), int | float) and isinstance(node.get(total), int | float):
            visit.add(metric, share(node[used], node[total]), node=name)
    reasons = {
        "not running": not node.get("running", False),
        "memory alarm": bool(node.get("mem_alarm")),
        "disk alarm": bool(node.get("disk_free_alarm")),
        "partition": bool(node.get("partitions")),
    }
    wrong = [reason for reason, holds in reasons.items() if holds]
    if wrong:
        visit.step("health", f"{name}: {', '.join(wrong)}")
    elsewhere = has_alarm and not any(reasons.values())
    visit.add("rabbitmq.health", bool(wrong) or elsewhere, node=name)


def _queues(visit: Visit, overview: Mapping[str, Any]) -> None:
    totals, objects = overview.get("queue_totals", {}), overview.get("object_totals", {})
    visit.add("rabbitmq.messages_ready", totals.get("messages_ready", 0))
    visit.add("rabbitmq.messages_unacked", totals.get("messages_unacknowledged", 0))
    for name in ("connections", "channels", "queues", "consumers"):
        if name in objects:
            visit.add(f"rabbitmq.{name}", objects[name])
    counted = overview.get("message_stats", {})
    visit.rate("rabbitmq.published_per_s", counted.get("publish", 0))
    visit.rate("rabbitmq.delivered_per_s", counted.get("deliver_get", 0))


PRODUCT: Final = Product(
    slug="rabbitmq",
    name_zh="RabbitMQ",
    name_en="RabbitMQ",
    icon="messages",
    port=15672,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="RabbitMQ ≥ 3.0 (management)",
    prerequisites=(
        Prerequisite("启用管理插件。", "Enable the management plugin.", "rabbitmq-plugins enable rabbitmq_management"),
        Prerequisite(
            "创建只有 monitoring 标签的用户（guest 只能从本机登录）。",
            "Create a user with the tag monitoring alone (guest may only sign in on the host itself).",
            "rabbitmqctl add_user rdmp '********'\nrabbitmqctl set_user_tags rdmp monitoring",
        ),
        Prerequisite("验证。", "Verify.", "curl -u rdmp http://127.0.0.1:15672/api/nodes"),
    ),
)
