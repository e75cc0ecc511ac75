"""Another instance type: stopped for it when it runs and may be, and started again, also when the cloud refuses the
new type.

A subscription is upgraded or downgraded, and the call says which (ECS API reference, ModifyPrepayInstanceSpec): the
price of an upgrade is paid at once, what a downgrade saves is refunded, three times at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assets.aliyun.resources import Row, number, rows, text
from changes.catalogue import Words
from changes.operations import ecs
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
    client_token,
)

MODIFY = {"PrePaid": "ModifyPrepayInstanceSpec", "PostPaid": "ModifyInstanceSpec"}
UP, DOWN = "upgrade", "downgrade"
_OPPOSITE = {UP: DOWN, DOWN: UP}
MIB = 1024
Size = tuple[float, float]
"""vCPUs and memory in GiB."""


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    found, wanted = ecs.instance(cloud, job), job.said("spec")
    status, spec = text(found, "Status"), text(found, "InstanceType")
    if spec == wanted:
        raise Refused("is_so_already", spec)
    if status not in (ecs.RUNNING, ecs.STOPPED):
        raise Refused("wrong_status", status)
    if status == ecs.RUNNING and not job.fields.get("may_restart"):
        raise Refused("must_stop")
    way = _way(found, _size_of(cloud, wanted))
    _must_be_offered(cloud, job, found, wanted, way)
    params = {"InstanceId": job.provider_id, "InstanceType": wanted, "ClientToken": client_token(job.token, 1)}
    action = MODIFY.get(text(found, "InstanceChargeType"), "ModifyInstanceSpec")
    if _is_subscription(found):
        params |= _order(way)
    modify = Step("Ecs", action, params, Repeat.TOKEN, before={"InstanceType": spec})
    return (modify,) if status == ecs.STOPPED else (ecs.stop(job), modify, ecs.start(job))


def _is_subscription(found: Row) -> bool:
    return text(found, "InstanceChargeType") == "PrePaid"


def _order(way: str) -> dict[str, str]:
    """What the order of a subscription says; a downgrade has nothing to pay."""
    if not way:
        return {}
    return {"OperatorType": way, **({"AutoPay": "true"} if way == UP else {})}


def _size_of(cloud: Cloud, spec: str) -> Size:
    found = rows(cloud.ask("Ecs", "DescribeInstanceTypes", {"InstanceTypes.1": spec}), "InstanceTypes", "InstanceType")
    for row in found:
        if text(row, "InstanceTypeId") == spec:
            return float(text(row, "CpuCoreCount") or 0), float(text(row, "MemorySize") or 0)
    raise Refused("no_spec", spec)


def _way(found: Row, wanted: Size) -> str:
    """Empty when one is larger and the other smaller, or neither: the cloud tells by the price itself."""
    now: Size = (float(number(found, "Cpu") or 0), (number(found, "Memory") or 0) / MIB)
    pairs = list(zip(wanted, now, strict=True))
    if wanted == now:
        return ""
    if all(then <= was for then, was in pairs):
        return DOWN
    return UP if all(then >= was for then, was in pairs) else ""


def _must_be_offered(cloud: Cloud, job: Job, found: Row, wanted: str, way: str) -> None:
    """The cloud says beforehand to which types this instance can be changed in its zone, and which are sold out."""
    ways = [way] if way else [UP, DOWN]
    states = [
        text(row, "Status")
        for asked in (ways if _is_subscription(found) else [UP])
        for row in _offered(cloud, job, asked)
        if text(row, "Value") == wanted
    ]
    if not states:
        raise Refused("not_offered", wanted)
    if "Available" not in states:
        raise Refused("sold_out", wanted)


def _offered(cloud: Cloud, job: Job, way: str) -> Iterator[Row]:
    asked = {"ResourceId": job.provider_id, "DestinationResource": "InstanceType", "OperationType": way.title()}
    for zone in rows(cloud.ask("Ecs", "DescribeResourcesModification", asked), "AvailableZones", "AvailableZone"):
        for resource in rows(zone, "AvailableResources", "AvailableResource"):
            yield from rows(resource, "SupportedResources", "SupportedResource")


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    if step.action in ("StartInstance", "StopInstance"):
        return ecs.look_at_power(cloud, job, step)
    return DONE if text(ecs.instance(cloud, job), "InstanceType") == step.params["InstanceType"] else ABSENT


def verify(cloud: Cloud, job: Job, steps: Sequence[Step]) -> bool:
    modified = [step for step in steps if step.action in MODIFY.values()]
    ends = [*modified, *steps[-1:]]
    return bool(modified) and all(look(cloud, job, step).progress is Progress.DONE for step in ends)


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    """What was modified gets its old type; what was stopped runs in the end, however far it came."""
    job = Job(steps[0].params["InstanceId"], {}, "")
    modified = next((step for step in steps if step.action in MODIFY.values()), None)
    was_running = any(step.action == "StopInstance" for step in steps)
    if modified is None:
        return () if steps[-1].action == "StartInstance" else (ecs.start(job),)
    kept = {name: modified.params[name] for name in ("InstanceId", "ClientToken")}
    way = _OPPOSITE.get(modified.params.get("OperatorType", ""), "")
    params = {**kept, "InstanceType": modified.before["InstanceType"], **_order(way)}
    before = {"InstanceType": modified.params["InstanceType"]}
    back = Step("Ecs", modified.action, params, Repeat.TOKEN, before=before)
    return (ecs.stop(job), back, ecs.start(job)) if was_running else (back,)


def check_back(cloud: Cloud, job: Job, steps: Sequence[Step]) -> None:
    """Nothing is stopped for a type that the cloud does not give back."""
    back = next((step for step in steps if step.action in MODIFY.values()), None)
    if back is None:
        return
    found, wanted = ecs.instance(cloud, job), back.params["InstanceType"]
    status, spec = text(found, "Status"), text(found, "InstanceType")
    if spec == wanted:
        raise Refused("is_so_already", spec)
    if status != ecs.STOPPED and (status != ecs.RUNNING or steps[0] is back):
        raise Refused("wrong_status", status)
    _must_be_offered(cloud, job, found, wanted, _way(found, _size_of(cloud, wanted)))


OPERATION = Executable(
    code="ecs.instance_type",
    words=Words("Change the instance type", "变更实例规格"),
    serves=frozenset({"ecs-resize"}),
    reads=("spec", "may_restart"),
    kinds=ecs.KINDS,
    plan=plan,
    look=look,
    verify=verify,
    undo=undo,
    check_back=check_back,
    restores=frozenset({"StartInstance"}),
)
