"""Attach a disk to an ECS instance, made for it or there already. Partition and mounting are the host's."""

from collections.abc import Sequence

from assets.aliyun.resources import text
from changes.catalogue import Words
from changes.operations import ecs
from changes.operations.executable import (
    ABSENT,
    DONE,
    Cloud,
    Executable,
    Fields,
    Job,
    Progress,
    Refused,
    Repeat,
    Seen,
    Step,
    client_token,
    last_is_done,
)

DEFAULT_CATEGORY = "cloud_essd"


def fits(fields: Fields) -> bool:
    """Of "volume" what creates or attaches; "disk-add" asks no action."""
    return fields.get("action") in (None, "create", "attach")


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    host = ecs.instance(cloud, job)
    if job.said("action") == "attach":
        disk = ecs.disk(cloud, job.said("disk_id"))
        if text(disk, "Status") != "Available":
            raise Refused("disk_in_use", text(disk, "Status"))
        if text(disk, "ZoneId") != text(host, "ZoneId"):
            raise Refused("other_zone", text(disk, "ZoneId"))
        return (_attach(job, job.said("disk_id")),)
    if not job.said("size_gb"):
        raise Refused("no_size")
    params = {
        "ZoneId": text(host, "ZoneId"),
        "DiskCategory": job.said("category") or DEFAULT_CATEGORY,
        "Size": job.said("size_gb"),
        "DiskName": f"rdmp-{job.token}",
        "Description": job.label,
        "ClientToken": client_token(job.token, 1),
    }
    return (Step("Ecs", "CreateDisk", params, Repeat.TOKEN, keeps=("DiskId",)), _attach(job, "{CreateDisk.DiskId}"))


def _attach(job: Job, disk_id: str) -> Step:
    return Step("Ecs", "AttachDisk", {"InstanceId": job.provider_id, "DiskId": disk_id}, Repeat.HARMLESS)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    if step.action == "CreateDisk":
        for row in ecs.disks(cloud, {"DiskName": step.params["DiskName"]}):
            if text(row, "DiskName") == step.params["DiskName"]:
                status = text(row, "Status")
                is_made = status != "Creating"
                result = {"DiskId": text(row, "DiskId")}
                return Seen(Progress.DONE if is_made else Progress.GOING, 100 if is_made else 50, status, result)
        return ABSENT
    row = ecs.disk(cloud, step.params["DiskId"])
    status = text(row, "Status")
    if step.action == "AttachDisk":
        if status == "In_use":
            return DONE if text(row, "InstanceId") == step.params["InstanceId"] else Seen(Progress.FAILED, 0, status)
        return Seen(Progress.GOING, 50, status) if status == "Attaching" else ABSENT
    if status == "Available":
        return DONE
    return Seen(Progress.GOING, 50, status) if status == "Detaching" else ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    """It is taken off again; a disk that was made stays, because nothing that may hold data is deleted here."""
    return tuple(
        Step("Ecs", "DetachDisk", dict(step.params), Repeat.HARMLESS) for step in steps if step.action == "AttachDisk"
    )


OPERATION = Executable(
    code="ecs.attach_disk",
    words=Words("Attach a disk", "挂载云盘"),
    serves=frozenset({"disk-add", "volume"}),
    reads=("action", "disk_id", "size_gb", "category"),
    kinds=ecs.KINDS,
    fits=fits,
    plan=plan,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
