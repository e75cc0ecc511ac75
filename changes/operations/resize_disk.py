"""Make a disk larger while it is in use. A disk never becomes smaller, so there is no way back."""

from assets.aliyun.resources import number, text
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
    client_token,
    last_is_done,
)


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    disk = ecs.disk(cloud, job.said("disk_id"))
    if text(disk, "InstanceId") != job.provider_id:
        raise Refused("not_its_disk", job.said("disk_id"))
    if int(job.said("size_gb")) <= (number(disk, "Size") or 0):
        raise Refused("not_larger", f"{number(disk, 'Size')} GB")
    params = {
        "DiskId": job.said("disk_id"),
        "NewSize": job.said("size_gb"),
        "Type": "online",
        "ClientToken": client_token(job.token, 1),
    }
    return (Step("Ecs", "ResizeDisk", params, Repeat.TOKEN, before={"Size": str(number(disk, "Size"))}),)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    size = number(ecs.disk(cloud, step.params["DiskId"]), "Size")
    return DONE if str(size) == step.params["NewSize"] else ABSENT


OPERATION = Executable(
    code="ecs.resize_disk",
    words=Words("Enlarge a disk", "扩容云盘"),
    serves=frozenset({"disk-grow"}),
    reads=("disk_id", "size_gb"),
    kinds=ecs.KINDS,
    plan=plan,
    look=look,
    verify=last_is_done(look),
)
