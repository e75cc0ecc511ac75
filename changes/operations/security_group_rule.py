"""Add a rule to a security group of the instance, or remove one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.aliyun.resources import rows, text
from changes.catalogue import Words
from changes.operations import ecs
from changes.operations.executable import (
    ABSENT,
    DONE,
    Cloud,
    Executable,
    Job,
    Refused,
    Repeat,
    Seen,
    Step,
    action_is,
    all_are_done,
    client_token,
    last_is_done,
)

DEFAULT_PRIORITY = "1"
_ADD = {"ingress": "AuthorizeSecurityGroup", "egress": "AuthorizeSecurityGroupEgress"}
_REMOVE = {"ingress": "RevokeSecurityGroup", "egress": "RevokeSecurityGroupEgress"}
_OPPOSITE = {**{_ADD[way]: _REMOVE[way] for way in _ADD}, **{_REMOVE[way]: _ADD[way] for way in _ADD}}


def plan_add(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    way, params = _wanted(cloud, job)
    if _found(cloud, way, params):
        raise Refused("rule_there")
    return (Step("Ecs", _ADD[way], params, Repeat.TOKEN),)


def plan_remove(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    way, params = _wanted(cloud, job)
    found = _found(cloud, way, params)
    if not found:
        raise Refused("rule_not_there")
    return tuple(
        Step(
            "Ecs",
            _REMOVE[way],
            {**params, "Priority": priority, "ClientToken": client_token(job.token, place)},
            Repeat.TOKEN,
        )
        for place, priority in enumerate(found, 1)
    )


def _wanted(cloud: Cloud, job: Job) -> tuple[str, dict[str, str]]:
    group, way, cidr = job.said("group"), job.said("direction"), job.said("cidr")
    names = ecs.instance(cloud, job).get("SecurityGroupIds")
    listed = names.get("SecurityGroupId") if isinstance(names, Mapping) else None
    if not isinstance(listed, list) or group not in listed:
        raise Refused("not_its_group", group)
    side = "Source" if way == "ingress" else "Dest"
    protocol = job.said("protocol")
    params = {
        "SecurityGroupId": group,
        "IpProtocol": protocol,
        "PortRange": job.said("ports") if protocol in ("tcp", "udp") else "-1/-1",
        f"Ipv6{side}CidrIp" if ":" in cidr else f"{side}CidrIp": cidr,
        "Policy": "accept",
        "Priority": DEFAULT_PRIORITY,
        "Description": f"{job.label} {job.said('description')}".strip()[:512],
        "ClientToken": client_token(job.token, 1),
    }
    return way, params


def _found(cloud: Cloud, way: str, params: Mapping[str, str]) -> list[str]:
    """The priorities with which this rule stands in the group: to the cloud each of them is a rule of its own, and it
    removes the one that is named with its priority."""
    asked = {"SecurityGroupId": params["SecurityGroupId"], "Direction": way}
    found = cloud.ask("Ecs", "DescribeSecurityGroupAttribute", asked)
    compared = [name for name in params if name.endswith("CidrIp") or name in ("IpProtocol", "PortRange", "Policy")]
    return [
        text(row, "Priority") or DEFAULT_PRIORITY
        for row in rows(found, "Permissions", "Permission")
        if all(text(row, name).lower() == params[name].lower() for name in compared)
    ]


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    way = "egress" if step.action.endswith("Egress") else "ingress"
    is_wanted = step.action.startswith("Authorize")
    return DONE if (step.params["Priority"] in _found(cloud, way, step.params)) is is_wanted else ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(Step("Ecs", _OPPOSITE[step.action], dict(step.params), Repeat.TOKEN) for step in steps)


_READS = ("action", "group", "direction", "protocol", "ports", "cidr", "description")

ADD = Executable(
    code="ecs.rule_add",
    words=Words("Add a security group rule", "新增安全组规则"),
    serves=frozenset({"security-group-rule"}),
    reads=_READS,
    kinds=ecs.KINDS,
    fits=action_is("add"),
    plan=plan_add,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
REMOVE = Executable(
    code="ecs.rule_remove",
    words=Words("Remove a security group rule", "删除安全组规则"),
    serves=frozenset({"security-group-rule"}),
    reads=_READS,
    kinds=ecs.KINDS,
    fits=action_is("remove"),
    plan=plan_remove,
    look=look,
    verify=all_are_done(look),
    undo=undo,
)
