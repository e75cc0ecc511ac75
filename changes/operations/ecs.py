"""What several operations ask of ECS: an instance, its disks, and whether it runs."""

from __future__ import annotations

import json

from assets.aliyun.resources import Row, rows, text
from changes.operations.executable import ABSENT, DONE, Cloud, Job, Progress, Refused, Repeat, Seen, Step

RUNNING, STOPPED = "Running", "Stopped"
KINDS = frozenset({"ecs"})
MOST_ROWS = "100"


def instance(cloud: Cloud, job: Job) -> Row:
    """The instance as it is now. Raises Refused when the account has none by this ID."""
    found = rows(
        cloud.ask("Ecs", "DescribeInstances", {"InstanceIds": json.dumps([job.provider_id])}), "Instances", "Instance"
    )
    if len(found) != 1 or text(found[0], "InstanceId") != job.provider_id:
        raise Refused("not_there", job.provider_id)
    return found[0]


def disks(cloud: Cloud, params: dict[str, str]) -> list[Row]:
    return rows(cloud.ask("Ecs", "DescribeDisks", {"PageSize": MOST_ROWS, **params}), "Disks", "Disk")


def disk(cloud: Cloud, disk_id: str) -> Row:
    found = disks(cloud, {"DiskIds": json.dumps([disk_id])})
    if len(found) != 1 or text(found[0], "DiskId") != disk_id:
        raise Refused("not_there", disk_id)
    return found[0]


def start(job: Job) -> Step:
    return Step("Ecs", "StartInstance", {"InstanceId": job.provider_id}, Repeat.HARMLESS)


def stop(job: Job, *, force: bool = False) -> Step:
    params = {"InstanceId": job.provider_id, "ForceStop": str(force).lower(), "StoppedMode": "KeepCharging"}
    return Step("Ecs", "StopInstance", params, Repeat.HARMLESS)


def look_at_power(cloud: Cloud, job: Job, step: Step) -> Seen:
    """Of StartInstance and StopInstance."""
    wanted, between = (RUNNING, "Starting") if step.action == "StartInstance" else (STOPPED, "Stopping")
    status = text(instance(cloud, job), "Status")
    if status == wanted:
        return DONE
    return Seen(Progress.GOING, 50, status) if status == between else ABSENT
