"""A machine image of an ECS instance."""

from collections.abc import Sequence
from datetime import timedelta

from assets.aliyun.resources import Row, rows, text
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
    last_is_done,
    percent_of,
)

_STATES = {"Available": Progress.DONE, "CreateFailed": Progress.FAILED}
_EVERY = "Creating,Waiting,Available,UnAvailable,CreateFailed"


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    ecs.instance(cloud, job)
    name = job.said("name")
    if _named(cloud, name):
        raise Refused("name_taken", name)
    params = {
        "InstanceId": job.provider_id,
        "ImageName": name,
        "Description": f"{job.label} rdmp-{job.token}",
        "ClientToken": client_token(job.token, 1),
    }
    return (Step("Ecs", "CreateImage", params, Repeat.TOKEN, keeps=("ImageId",)),)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    if step.action == "DeleteImage":
        asked = cloud.ask("Ecs", "DescribeImages", {"ImageId": step.params["ImageId"], "Status": _EVERY})
        return ABSENT if rows(asked, "Images", "Image") else DONE
    for row in _named(cloud, step.params["ImageName"]):
        if text(row, "Description") == step.params["Description"]:
            status = text(row, "Status")
            result = {"ImageId": text(row, "ImageId")}
            return Seen(_STATES.get(status, Progress.GOING), percent_of(row), status, result)
    return ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(Step("Ecs", "DeleteImage", {"ImageId": step.result["ImageId"]}, Repeat.HARMLESS) for step in steps)


def _named(cloud: Cloud, name: str) -> list[Row]:
    asked = cloud.ask("Ecs", "DescribeImages", {"ImageName": name, "ImageOwnerAlias": "self", "Status": _EVERY})
    return [row for row in rows(asked, "Images", "Image") if text(row, "ImageName") == name]


OPERATION = Executable(
    code="ecs.image",
    words=Words("Create an image", "创建镜像"),
    serves=frozenset({"image-create"}),
    reads=("name",),
    kinds=ecs.KINDS,
    plan=plan,
    look=look,
    verify=last_is_done(look),
    undo=undo,
    longest=timedelta(hours=6),
)
