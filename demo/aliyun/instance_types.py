"""Instance types of the simulated ECS: how large each is, and to which an instance can be changed.

A subscription says whether it is upgraded or downgraded (ECS API reference, ModifyPrepayInstanceSpec: upgrade is the
default, a lower type takes OperatorType downgrade, three times at most; an upgrade that is not paid at once is an
unpaid order and changes nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demo.aliyun.acting import new_id
from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Json

GIB_PER_CPU: Final = {"c": 2, "g": 4, "r": 8}
FAMILIES: Final = ("c6", "g6", "r6", "c7", "g7", "r7", "c8i", "g8i", "r8i")
CPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}
TYPES: Final[Mapping[str, tuple[int, int]]] = {
    f"ecs.{family}.{size}": (cpus, cpus * GIB_PER_CPU[family[0]]) for family in FAMILIES for size, cpus in CPUS.items()
}
"""vCPUs and memory in GiB."""
UP, DOWN = "upgrade", "downgrade"
MOST_DOWNGRADES = 3


def describe_types(call: Call) -> Json:
    wanted = [value for name, value in call.params.items() if name.startswith("InstanceTypes.")]
    rows = [
        {"InstanceTypeId": name, "InstanceTypeFamily": name.rsplit(".", 1)[0], "CpuCoreCount": cpus, "MemorySize": gib}
        for name, (cpus, gib) in TYPES.items()
        if not wanted or name in wanted
    ]
    return {"InstanceTypes": {"InstanceType": rows}, "NextToken": ""}


def describe_modification(call: Call, row: Json) -> Json:
    if call.need("DestinationResource") != "InstanceType":
        raise invalid("DestinationResource")
    way = call.params.get("OperationType", "Upgrade").lower()
    is_prepaid = row["InstanceChargeType"] == "PrePaid"
    if way not in ((UP, DOWN) if is_prepaid else (UP,)):
        raise invalid("OperationType")
    listed = [
        {
            "Value": name,
            "Status": "SoldOut" if name in call.estate.work.sold_out else "Available",
            "StatusCategory": "WithoutStock" if name in call.estate.work.sold_out else "WithStock",
        }
        for name in TYPES
        if name != row["InstanceType"] and (not is_prepaid or way in _ways(row, name))
    ]
    resource = {"Type": "InstanceType", "SupportedResources": {"SupportedResource": listed}}
    zone = {
        "ZoneId": row["ZoneId"],
        "RegionId": row["RegionId"],
        "Status": "Available",
        "AvailableResources": {"AvailableResource": [resource]},
    }
    return {"AvailableZones": {"AvailableZone": [zone]}}


def _ways(row: Json, wanted: str) -> tuple[str, ...]:
    """What changing to this type can be: of one that is neither larger nor smaller the price says it."""
    now = (int(str(row["Cpu"])), int(str(row["Memory"])) // 1024)
    then = TYPES[wanted]
    if then == now:
        return (UP, DOWN)
    if then[0] <= now[0] and then[1] <= now[1]:
        return (DOWN,)
    return (UP,) if then[0] >= now[0] and then[1] >= now[1] else (UP, DOWN)


def order(call: Call, row: Json, wanted: str) -> bool:
    """Check the order of a subscription; returns whether it takes effect, because it is paid or a refund."""
    way = call.params.get("OperatorType", UP)
    if way not in (UP, DOWN):
        raise invalid("OperatorType")
    if row.get("_unpaid"):
        raise ApiError(400, "InvalidInstance.UnpaidOrder", "The specified instance has unpaid order.")
    if way not in _ways(row, wanted):
        raise ApiError(400, "InvalidAction", f"The instance type change is not an {way}.")
    downgrades = int(str(row.get("_downgrades", 0)))
    if way == DOWN:
        if downgrades >= MOST_DOWNGRADES:
            raise ApiError(400, "InstanceDowngrade.QuotaExceed", "Quota of instance downgrade is exceed.")
        row["_downgrades"] = downgrades + 1
        return True
    row["_unpaid"] = call.params.get("AutoPay", "true") == "false"
    return not row["_unpaid"]


def modify(call: Call, row: Json, wanted: str) -> Json:
    if wanted not in TYPES:
        raise ApiError(400, "InvalidInstanceType.ValueNotSupported", "The specified InstanceType is not supported.")
    if wanted in call.estate.work.sold_out:
        raise ApiError(403, "OperationDenied.NoStock", "The resource is out of stock in the specified zone.")
    if row["InstanceChargeType"] != "PrePaid" or order(call, row, wanted):
        cpus, gib = TYPES[wanted]
        after: Json = {
            "InstanceType": wanted,
            "InstanceTypeFamily": wanted.rsplit(".", 1)[0],
            "Cpu": cpus,
            "Memory": gib * 1024,
        }
        call.estate.work.after(call.now, lambda: row.update(after))
    return {"OrderId": new_id("2")}
