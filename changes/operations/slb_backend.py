"""Put servers behind a load balancer, or take them out: all of them in one call."""

from __future__ import annotations

import json
from collections.abc import Sequence

from assets.aliyun.resources import rows, text
from changes.catalogue import Words
from changes.operations.executable import (
    ABSENT,
    DONE,
    Cloud,
    Executable,
    Job,
    Progress,
    Refused,
    Repeat,
    Seen,
    Step,
    last_is_done,
)

MOST = 20
"""Servers in one call (SLB API reference, AddBackendServers)."""
DEFAULT_WEIGHT = "100"


def plan_add(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    there = _there(cloud, job.provider_id)
    wanted = [name for name in _servers(job) if name not in there]
    if not wanted:
        raise Refused("servers_there")
    if job.said("port"):
        raise Refused("no_port", job.said("port"))
    weight = job.said("weight") or DEFAULT_WEIGHT
    return (_step("AddBackendServers", job.provider_id, dict.fromkeys(wanted, weight)),)


def plan_remove(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    if job.said("port"):
        raise Refused("no_port", job.said("port"))
    there = _there(cloud, job.provider_id)
    wanted = {name: there[name] for name in _servers(job) if name in there}
    if not wanted:
        raise Refused("servers_not_there")
    if len(wanted) == len(there):
        raise Refused("none_left")
    return (_step("RemoveBackendServers", job.provider_id, wanted),)


def _servers(job: Job) -> list[str]:
    """Those that were named; only servers of the same account that the platform knows."""
    named = list(dict.fromkeys(job.said("servers").replace(",", " ").split()))
    foreign = [name for name in named if name not in job.servers]
    if foreign:
        raise Refused("foreign_server", ", ".join(foreign[:3]))
    if not 1 <= len(named) <= MOST:
        raise Refused("too_many", str(len(named)))
    return named


def _there(cloud: Cloud, balancer: str) -> dict[str, str]:
    found = cloud.ask("Slb", "DescribeLoadBalancerAttribute", {"LoadBalancerId": balancer})
    return {text(row, "ServerId"): text(row, "Weight") for row in rows(found, "BackendServers", "BackendServer")}


def _step(action: str, balancer: str, servers: dict[str, str]) -> Step:
    listed = json.dumps([{"ServerId": name, "Type": "ecs", "Weight": weight} for name, weight in servers.items()])
    return Step("Slb", action, {"LoadBalancerId": balancer, "BackendServers": listed}, Repeat.HARMLESS)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    """Some but not all is not there yet: the same call brings the rest."""
    there = _there(cloud, step.params["LoadBalancerId"])
    wanted = [one["ServerId"] for one in json.loads(step.params["BackendServers"])]
    is_add = step.action == "AddBackendServers"
    reached = [name for name in wanted if (name in there) is is_add]
    if len(reached) == len(wanted):
        return DONE
    return (
        Seen(Progress.ABSENT, 100 * len(reached) // len(wanted), f"{len(reached)}/{len(wanted)}") if reached else ABSENT
    )


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    opposite = {"AddBackendServers": "RemoveBackendServers", "RemoveBackendServers": "AddBackendServers"}
    return tuple(Step("Slb", opposite[step.action], dict(step.params), Repeat.HARMLESS) for step in steps)


_KINDS, _READS = frozenset({"slb"}), ("servers", "port", "weight")

ADD = Executable(
    code="slb.backend_add",
    words=Words("Put servers behind the load balancer", "注册后端服务器"),
    serves=frozenset({"lb-backend-add"}),
    reads=_READS,
    kinds=_KINDS,
    plan=plan_add,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
REMOVE = Executable(
    code="slb.backend_remove",
    words=Words("Take servers out of the load balancer", "移出后端服务器"),
    serves=frozenset({"lb-backend-remove"}),
    reads=_READS,
    kinds=_KINDS,
    plan=plan_remove,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
