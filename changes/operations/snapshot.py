"""A snapshot of every disk of an ECS instance. Each carries the run's token in its name, by which it is found again."""

from datetime import timedelta

from assets.aliyun.resources import rows, text
from changes.catalogue import Words
from changes.operations import ecs
from changes.operations.executable import (
    ABSENT,
    Cloud,
    Executable,
    Job,
    Progress,
    Refused,
    Repeat,
    Seen,
    Step,
    all_are_done,
    client_token,
    percent_of,
)

_STATES = {"accomplished": Progress.DONE, "failed": Progress.FAILED}


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    found = ecs.disks(cloud, {"InstanceId": job.provider_id})
    if not found:
        raise Refused("no_disks", job.provider_id)
    keep = {"RetentionDays": job.said("keep_days")} if job.said("keep_days") else {}
    return tuple(
        Step(
            "Ecs",
            "CreateSnapshot",
            {
                "DiskId": text(disk, "DiskId"),
                "SnapshotName": f"rdmp-{client_token(job.token, place)}",
                "Description": job.label,
                **keep,
                "ClientToken": client_token(job.token, place),
            },
            Repeat.TOKEN,
            keeps=("SnapshotId",),
        )
        for place, disk in enumerate(found, 1)
    )


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    wanted = {"DiskId": step.params["DiskId"], "SnapshotName": step.params["SnapshotName"]}
    for row in rows(cloud.ask("Ecs", "DescribeSnapshots", wanted), "Snapshots", "Snapshot"):
        if text(row, "SnapshotName") == step.params["SnapshotName"]:
            status = text(row, "Status")
            result = {"SnapshotId": text(row, "SnapshotId")}
            return Seen(_STATES.get(status, Progress.GOING), percent_of(row), status, result)
    return ABSENT


OPERATION = Executable(
    code="ecs.snapshot",
    words=Words("Snapshot of each disk", "为每块云盘创建快照"),
    serves=frozenset({"manual-backup"}),
    reads=("method", "keep_days"),
    kinds=ecs.KINDS,
    fits=lambda fields: fields.get("method") == "snapshot",
    plan=plan,
    look=look,
    verify=all_are_done(look),
    backs_up="snapshot",
    kept_as="SnapshotId",
    longest=timedelta(hours=6),
)
