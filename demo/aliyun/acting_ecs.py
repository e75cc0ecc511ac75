"""The calls by which ECS of the simulated cloud is changed, and those that show what came of them.

Names of parameters, states and error codes are those of the ECS API reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from demo.aliyun import instance_types
from demo.aliyun.acting import new_id, once, progress
from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Json, minutes, seconds

BETWEEN = "IncorrectInstanceStatus"
BETWEEN_TEXT = "The current status of the resource does not support this operation."


def public(row: Json) -> Json:
    return {key: value for key, value in row.items() if not key.startswith("_")}


def instance_of(call: Call) -> Json:
    return named_instance(call, call.need("InstanceId"))


def named_instance(call: Call, wanted: str) -> Json:
    for row in call.here("ecs"):
        if row["InstanceId"] == wanted:
            return row
    raise ApiError(404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist.")


def _in_status(row: Json, *allowed: str) -> None:
    if row["Status"] not in allowed:
        raise ApiError(403, BETWEEN, BETWEEN_TEXT)


def start_instance(call: Call) -> Json:
    row = instance_of(call)
    _in_status(row, "Stopped")
    row["Status"] = "Starting"
    _runs_after(call, row)
    return {}


def _runs_after(call: Call, row: Json) -> None:
    def run() -> None:
        row["Status"] = "Running"

    at = call.estate.work.after(call.now, run)
    row["StartTime"] = minutes(at)


def stop_instance(call: Call) -> Json:
    row = instance_of(call)
    _in_status(row, "Running")
    row["Status"] = "Stopping"
    call.estate.work.after(call.now, lambda: row.update(Status="Stopped"))
    return {}


def reboot_instance(call: Call) -> Json:
    row = instance_of(call)
    _in_status(row, "Running")
    row["Status"] = "Starting"
    _runs_after(call, row)
    return {}


def modify_spec(call: Call) -> Json:
    row, wanted = instance_of(call), call.need("InstanceType")
    is_prepaid = row["InstanceChargeType"] == "PrePaid"
    if is_prepaid != (call.params["Action"] == "ModifyPrepayInstanceSpec"):
        raise ApiError(403, "ChargeTypeViolation", "The operation is not permitted due to charge type of the instance.")

    def act() -> Json:
        _in_status(row, "Stopped")
        return instance_types.modify(call, row, wanted)

    return once(call, "ModifySpec", act)


def describe_modification(call: Call) -> Json:
    return instance_types.describe_modification(call, named_instance(call, call.need("ResourceId")))


# disks


def disks_of(call: Call, row: Json) -> list[Json]:
    """The disks of an instance; the first who asks finds a system disk and a data disk there."""
    work, name = call.estate.work, str(row["InstanceId"])
    mine = [disk for disk in work.disks if disk["InstanceId"] == name]
    if not mine and not row.get("_has_disks"):
        row["_has_disks"] = True
        for kind, size in (("system", 40), ("data", 200)):
            digits = name.removeprefix("i-")
            disk = _disk(call, f"d-{kind[0]}{digits[1:]}", str(row["ZoneId"]), size, "cloud_essd")
            disk.update(Type=kind, Status="In_use", InstanceId=name, Portable=kind == "data")
            disk["AutoSnapshotPolicyId"] = call.estate.work.policies[0]["AutoSnapshotPolicyId"]
            mine.append(disk)
    return mine


def _disk(call: Call, name: str, zone: str, size: int, category: str) -> Json:
    disk: Json = {
        "DiskId": name,
        "DiskName": "",
        "RegionId": call.params["RegionId"],
        "ZoneId": zone,
        "Size": size,
        "Category": category,
        "Type": "data",
        "Status": "Available",
        "InstanceId": "",
        "Portable": True,
        "CreationTime": minutes(call.now),
        "AutoSnapshotPolicyId": "",
    }
    call.estate.work.disks.append(disk)
    return disk


def describe_disks(call: Call) -> Json:
    for row in call.here("ecs"):
        disks_of(call, row)
    wanted: object = json.loads(call.params.get("DiskIds") or "null")
    pairs = {"InstanceId": call.params.get("InstanceId"), "DiskName": call.params.get("DiskName")}
    pairs["Status"] = call.params.get("Status")
    found = [
        disk
        for disk in call.estate.work.disks
        if disk["RegionId"] == call.params["RegionId"]
        and (not isinstance(wanted, list) or disk["DiskId"] in wanted)
        and all(value in (None, "", disk[name]) for name, value in pairs.items())
    ]
    size, number = call.number("PageSize", 10, top=100), call.number("PageNumber", 1)
    page = found[(number - 1) * size : number * size]
    return {"Disks": {"Disk": [public(one) for one in page]}, "TotalCount": len(found), "PageNumber": number}


def named_disk(call: Call) -> Json:
    wanted = call.need("DiskId")
    for disk in call.estate.work.disks:
        if disk["DiskId"] == wanted:
            return disk
    raise ApiError(404, "InvalidDiskId.NotFound", "The specified disk does not exist.")


def create_disk(call: Call) -> Json:
    size = call.number("Size", 20, top=65536)

    def act() -> Json:
        disk = _disk(call, new_id("d-bp1"), call.need("ZoneId"), size, call.params.get("DiskCategory") or "cloud")
        disk.update(DiskName=call.params.get("DiskName", ""), Status="Creating")
        call.estate.work.after(call.now, lambda: disk.update(Status="Available"))
        return {"DiskId": disk["DiskId"]}

    return once(call, "CreateDisk", act)


def attach_disk(call: Call) -> Json:
    row, disk = instance_of(call), named_disk(call)
    _in_status(row, "Running", "Stopped")
    if disk["Status"] != "Available":
        raise ApiError(403, "IncorrectDiskStatus", "The current disk status does not support this operation.")
    if disk["ZoneId"] != row["ZoneId"]:
        raise ApiError(403, "ResourcesNotInSameZone", "The specified instance and disk are not in the same zone.")
    disk["Status"] = "Attaching"
    call.estate.work.after(call.now, lambda: disk.update(Status="In_use", InstanceId=row["InstanceId"]))
    return {}


def detach_disk(call: Call) -> Json:
    disk = named_disk(call)
    if disk["Status"] != "In_use" or disk["InstanceId"] != call.need("InstanceId"):
        raise ApiError(403, "IncorrectDiskStatus", "The current disk status does not support this operation.")
    disk["Status"] = "Detaching"
    call.estate.work.after(call.now, lambda: disk.update(Status="Available", InstanceId=""))
    return {}


def resize_disk(call: Call) -> Json:
    disk, size = named_disk(call), call.number("NewSize", 0, top=65536)

    def act() -> Json:
        if size <= int(str(disk["Size"])):
            raise ApiError(403, "InvalidDiskSize.TooSmall", "Specified new disk size is less than the original size.")
        call.estate.work.after(call.now, lambda: disk.update(Size=size))
        return {"OrderId": ""}

    return once(call, "ResizeDisk", act)


# snapshots and images


def create_snapshot(call: Call) -> Json:
    disk = named_disk(call)

    def act() -> Json:
        if any(
            each["SourceDiskId"] == disk["DiskId"] and each["Status"] == "progressing"
            for each in call.estate.work.snapshots
        ):
            raise ApiError(403, "CreateSnapshot.Failed", "The process of creating snapshot is already running.")
        snapshot: Json = {
            "SnapshotId": new_id("s-bp1"),
            "SnapshotName": call.params.get("SnapshotName", ""),
            "Description": call.params.get("Description", ""),
            "SourceDiskId": disk["DiskId"],
            "SourceDiskSize": str(disk["Size"]),
            "RetentionDays": int(call.params.get("RetentionDays") or 0),
            "Status": "progressing",
            "CreationTime": seconds(call.now),
            "_since": call.now,
        }
        call.estate.work.snapshots.append(snapshot)
        call.estate.work.after(call.now, lambda: snapshot.update(Status="accomplished"))
        return {"SnapshotId": snapshot["SnapshotId"]}

    return once(call, "CreateSnapshot", act)


def describe_snapshots(call: Call) -> Json:
    disk, name = call.params.get("DiskId"), call.params.get("SnapshotName")
    found = [
        each
        for each in call.estate.work.snapshots
        if disk in (None, each["SourceDiskId"]) and name in (None, each["SnapshotName"])
    ]
    rows = [
        {**public(each), "Progress": "100%" if each["Status"] == "accomplished" else f"{progress(call, each)}%"}
        for each in found
    ]
    return {"Snapshots": {"Snapshot": rows}, "TotalCount": len(rows)}


def create_image(call: Call) -> Json:
    row, name = instance_of(call), call.need("ImageName")
    _in_status(row, "Running", "Stopped")

    def act() -> Json:
        if any(each["ImageName"] == name for each in call.estate.work.images):
            raise ApiError(403, "InvalidImageName.Duplicated", "The specified ImageName has already existed.")
        image: Json = {
            "ImageId": new_id("m-bp1"),
            "ImageName": name,
            "Description": call.params.get("Description", ""),
            "ImageOwnerAlias": "self",
            "Status": "Creating",
            "CreationTime": seconds(call.now),
            "_since": call.now,
        }
        call.estate.work.images.append(image)
        call.estate.work.after(call.now, lambda: image.update(Status="Available"))
        return {"ImageId": image["ImageId"]}

    return once(call, "CreateImage", act)


def describe_images(call: Call) -> Json:
    states = (call.params.get("Status") or "Available").split(",")
    pairs = {"ImageId": call.params.get("ImageId"), "ImageName": call.params.get("ImageName")}
    rows = [
        {**public(each), "Progress": "100%" if each["Status"] == "Available" else f"{progress(call, each)}%"}
        for each in call.estate.work.images
        if each["Status"] in states and all(value in (None, each[name]) for name, value in pairs.items())
    ]
    return {"Images": {"Image": rows}, "TotalCount": len(rows)}


def delete_image(call: Call) -> Json:
    wanted = call.need("ImageId")
    for image in call.estate.work.images:
        if image["ImageId"] == wanted:
            call.estate.work.images.remove(image)
            return {}
    raise ApiError(404, "InvalidImageId.NotFound", "The specified ImageId does not exist.")


# security groups

HTTPS: Json = {
    "Direction": "ingress",
    "IpProtocol": "TCP",
    "PortRange": "443/443",
    "SourceCidrIp": "0.0.0.0/0",
    "Policy": "Accept",
    "Priority": "1",
    "Description": "https",
}
FIRST_RULES = (HTTPS, {**HTTPS, "PortRange": "22/22", "Description": "ssh"})


def rules_of(call: Call) -> list[Json]:
    group = call.need("SecurityGroupId")
    known = {
        str(name)
        for row in call.here("ecs")
        for name in row["SecurityGroupIds"]["SecurityGroupId"]  # type: ignore[index]  # set by `Estate.add_ecs`
    }
    if group not in known:
        raise ApiError(404, "InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")
    return call.estate.work.rules.setdefault(group, [dict(rule) for rule in FIRST_RULES])


def describe_rules(call: Call) -> Json:
    way = call.params.get("Direction", "all")
    rows = [rule for rule in rules_of(call) if way in ("all", rule["Direction"])]
    return {"SecurityGroupId": call.params["SecurityGroupId"], "Permissions": {"Permission": rows}}


_PLACES = ("SourceCidrIp", "DestCidrIp", "Ipv6SourceCidrIp", "Ipv6DestCidrIp")


def _rule(call: Call, way: str) -> Json:
    places = {name: call.params.get(name, "") for name in _PLACES}
    if not any(places.values()):
        raise ApiError(
            400, "MissingParameter.Dest" if way == "egress" else "MissingParameter.Source", "An end is missing."
        )
    ports = call.need("PortRange")
    if "/" not in ports:
        raise ApiError(400, "InvalidPortRange.Malformed", "The specified parameter PortRange is not valid.")
    return {
        "Direction": way,
        "IpProtocol": call.need("IpProtocol").upper(),
        "PortRange": ports,
        **places,
        "Policy": call.params.get("Policy", "accept").title(),
        "Priority": call.params.get("Priority", "1"),
        "Description": call.params.get("Description", ""),
    }


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    names = ("Direction", "IpProtocol", "PortRange", "Policy", "Priority", *_PLACES)
    return all(one.get(name, "") == other.get(name, "") for name in names)


def authorize(way: str) -> Callable[[Call], Json]:
    def handle(call: Call) -> Json:
        rules, wanted = rules_of(call), _rule(call, way)

        def act() -> Json:
            if not any(_same(rule, wanted) for rule in rules):
                rules.append(wanted)
            return {}

        return once(call, f"Authorize{way}", act)

    return handle


def revoke(way: str) -> Callable[[Call], Json]:
    def handle(call: Call) -> Json:
        rules, wanted = rules_of(call), _rule(call, way)

        def act() -> Json:
            rules[:] = [rule for rule in rules if not _same(rule, wanted)]
            return {}

        return once(call, f"Revoke{way}", act)

    return handle


def some_instances(call: Call, rows: list[Json]) -> list[Json]:
    """Those that `InstanceIds` names, all without it."""
    said = call.params.get("InstanceIds")
    if not said:
        return rows
    try:
        wanted = json.loads(said)
    except ValueError:
        raise invalid("InstanceIds") from None
    if not isinstance(wanted, list) or len(wanted) > 100:
        raise invalid("InstanceIds")
    return [row for row in rows if row["InstanceId"] in wanted]


def describe_policies(call: Call) -> Json:
    rows = call.estate.work.policies
    return {"AutoSnapshotPolicies": {"AutoSnapshotPolicy": rows}, "TotalCount": len(rows)}


READS: Mapping[str, Callable[[Call], Json]] = {
    "DescribeDisks": describe_disks,
    "DescribeInstanceTypes": instance_types.describe_types,
    "DescribeResourcesModification": describe_modification,
    "DescribeAutoSnapshotPolicyEx": describe_policies,
    "DescribeSnapshots": describe_snapshots,
    "DescribeImages": describe_images,
    "DescribeSecurityGroupAttribute": describe_rules,
}
WRITES: Mapping[str, Callable[[Call], Json]] = {
    "StartInstance": start_instance,
    "StopInstance": stop_instance,
    "RebootInstance": reboot_instance,
    "ModifyInstanceSpec": modify_spec,
    "ModifyPrepayInstanceSpec": modify_spec,
    "CreateDisk": create_disk,
    "AttachDisk": attach_disk,
    "DetachDisk": detach_disk,
    "ResizeDisk": resize_disk,
    "CreateSnapshot": create_snapshot,
    "CreateImage": create_image,
    "DeleteImage": delete_image,
    "AuthorizeSecurityGroup": authorize("ingress"),
    "AuthorizeSecurityGroupEgress": authorize("egress"),
    "RevokeSecurityGroup": revoke("ingress"),
    "RevokeSecurityGroupEgress": revoke("egress"),
}
