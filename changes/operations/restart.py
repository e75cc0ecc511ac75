"""Restart an ECS instance.

Whether it happened is seen by the states in between, or by the time since which it runs. That time is told to the
minute (ECS API reference, DescribeInstances: yyyy-MM-ddTHH:mmZ), so a second restart within one minute leaves no trace
there: a restart that the cloud accepted counts as done when nothing was seen of it for some time.
"""

from collections.abc import Sequence
from datetime import timedelta

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
        return Seen(Progress.GOING, 50, status, {"Passed": status})
    is_over = "Passed" in step.result or text(found, "StartTime") != step.before.get("StartTime")
    return DONE if is_over else ABSENT


def verify(cloud: Cloud, job: Job, steps: Sequence[Step]) -> bool:
    return text(ecs.instance(cloud, job), "Status") == ecs.RUNNING


OPERATION = Executable(
    code="ecs.restart",
    words=Words("Restart the instance", "重启实例"),
    serves=frozenset({"ecs-power"}),
    reads=("action", "force"),
    kinds=ecs.KINDS,
    fits=action_is("restart"),
    plan=plan,
    look=look,
    verify=verify,
    unseen_after=timedelta(minutes=2),
)
