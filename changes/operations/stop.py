"""Stop an ECS instance; it goes on being paid for, so that it can be started again."""

from assets.aliyun.resources import text
from changes.catalogue import Words
from changes.operations import ecs
from changes.operations.executable import Cloud, Executable, Job, Refused, Step, action_is, last_is_done


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    status = text(ecs.instance(cloud, job), "Status")
    if status != ecs.RUNNING:
        raise Refused("wrong_status", status)
    return (ecs.stop(job, force=bool(job.fields.get("force"))),)


OPERATION = Executable(
    code="ecs.stop",
    words=Words("Stop the instance", "停止实例"),
    serves=frozenset({"ecs-power"}),
    reads=("action", "force"),
    kinds=ecs.KINDS,
    fits=action_is("stop"),
    plan=plan,
    look=ecs.look_at_power,
    verify=last_is_done(ecs.look_at_power),
    undo=lambda steps: tuple(_back(step) for step in steps),
)


def _back(step: Step) -> Step:
    return ecs.start(Job(step.params["InstanceId"], {}, ""))
