"""Restart an ECS instance. Whether it happened is seen by the time since which it runs."""

from assets.aliyun.resources import text
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
    action_is,
    last_is_done,
)


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    found = ecs.instance(cloud, job)
    if text(found, "Status") != ecs.RUNNING:
        raise Refused("wrong_status", text(found, "Status"))
    params = {"InstanceId": job.provider_id, "ForceStop": str(bool(job.fields.get("force"))).lower()}
    before = {"StartTime": text(found, "StartTime")}
    return (Step("Ecs", "RebootInstance", params, Repeat.NEVER, before=before),)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    found = ecs.instance(cloud, job)
    status = text(found, "Status")
    if status != ecs.RUNNING:
        return Seen(Progress.GOING, 50, status)
    return DONE if text(found, "StartTime") != step.before.get("StartTime") else ABSENT


OPERATION = Executable(
    code="ecs.restart",
    words=Words("Restart the instance", "重启实例"),
    serves=frozenset({"ecs-power"}),
    reads=("action", "force"),
    kinds=ecs.KINDS,
    fits=action_is("restart"),
    plan=plan,
    look=look,
    verify=last_is_done(look),
)
