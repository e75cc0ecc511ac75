"""Start an ECS instance."""

from assets.aliyun.resources import text
from changes.catalogue import Words
from changes.operations import ecs
from changes.operations.executable import Cloud, Executable, Job, Refused, Step, action_is, last_is_done


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    status = text(ecs.instance(cloud, job), "Status")
    if status != ecs.STOPPED:
        raise Refused("wrong_status", status)
    return (ecs.start(job),)


OPERATION = Executable(
    code="ecs.start",
    words=Words("Start the instance", "启动实例"),
    serves=frozenset({"ecs-power"}),
    reads=("action",),
    kinds=ecs.KINDS,
    fits=action_is("start"),
    plan=plan,
    look=ecs.look_at_power,
    verify=last_is_done(ecs.look_at_power),
    undo=lambda steps: tuple(_back(step) for step in steps),
)


def _back(step: Step) -> Step:
    return ecs.stop(Job(step.params["InstanceId"], {}, ""))
