"""Another instance type: stopped for it when it runs and may be, and started again."""

from collections.abc import Sequence

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
    client_token,
)

MODIFY = {"PrePaid": "ModifyPrepayInstanceSpec", "PostPaid": "ModifyInstanceSpec"}


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    found = ecs.instance(cloud, job)
    status, spec = text(found, "Status"), text(found, "InstanceType")
    if spec == job.said("spec"):
        raise Refused("is_so_already", spec)
    if status not in (ecs.RUNNING, ecs.STOPPED):
        raise Refused("wrong_status", status)
    if status == ecs.RUNNING and not job.fields.get("may_restart"):
        raise Refused("must_stop")
    modify = Step(
        "Ecs",
        MODIFY.get(text(found, "InstanceChargeType"), "ModifyInstanceSpec"),
        {
            "InstanceId": job.provider_id,
            "InstanceType": job.said("spec"),
            "ClientToken": client_token(job.token, 1),
        },
        Repeat.TOKEN,
        before={"InstanceType": spec},
    )
    return (modify,) if status == ecs.STOPPED else (ecs.stop(job), modify, ecs.start(job))


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
        return (ecs.start(job),)
    params = {**modified.params, "InstanceType": modified.before["InstanceType"]}
    back = Step("Ecs", modified.action, params, Repeat.TOKEN)
    return (ecs.stop(job), back, ecs.start(job)) if was_running else (back,)


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
)
