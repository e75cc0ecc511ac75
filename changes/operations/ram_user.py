"""Disable a RAM user: no sign-in to the console, no AccessKey. What it may do is left as it is."""

from __future__ import annotations

from collections.abc import Sequence

from assets.aliyun import AliyunError
from assets.aliyun.resources import rows, text
from changes.catalogue import Words
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
    action_is,
    all_are_done,
)


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    name = job.said("user")
    if _login(name) in {_login(own) for own in job.own_users}:
        raise Refused("own_user", name)
    try:
        cloud.ask("Ram", "GetUser", {"UserName": name})
    except AliyunError as error:
        if error.code.startswith("EntityNotExist"):
            raise Refused("not_there", name) from None
        raise
    steps = [
        Step(
            "Ram",
            "UpdateAccessKey",
            {"UserName": name, "UserAccessKeyId": key, "Status": "Inactive"},
            Repeat.HARMLESS,
        )
        for key, status in _keys(cloud, name).items()
        if status == "Active"
    ]
    if _can_sign_in(cloud, name):
        steps.insert(0, Step("Ram", "DeleteLoginProfile", {"UserName": name}, Repeat.HARMLESS))
    if not steps:
        raise Refused("is_so_already", name)
    return tuple(steps)


def _login(name: str) -> str:
    """A user is also called by its sign-in name, user@account.onaliyun.com; large and small letters are the same."""
    return name.partition("@")[0].lower()


def _keys(cloud: Cloud, name: str) -> dict[str, str]:
    found = rows(cloud.ask("Ram", "ListAccessKeys", {"UserName": name}), "AccessKeys", "AccessKey")
    return {text(row, "AccessKeyId"): text(row, "Status") for row in found}


def _can_sign_in(cloud: Cloud, name: str) -> bool:
    try:
        cloud.ask("Ram", "GetLoginProfile", {"UserName": name})
    except AliyunError as error:
        if error.code.startswith("EntityNotExist"):
            return False
        raise
    return True


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    name = step.params["UserName"]
    if step.action == "DeleteLoginProfile":
        return ABSENT if _can_sign_in(cloud, name) else DONE
    return DONE if _keys(cloud, name).get(step.params["UserAccessKeyId"]) == step.params["Status"] else ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The keys work again. Sign-in is set up anew by hand: nobody knows the old password."""
    return tuple(
        Step("Ram", "UpdateAccessKey", {**step.params, "Status": "Active"}, Repeat.HARMLESS)
        for step in steps
        if step.action == "UpdateAccessKey"
    )


OPERATION = Executable(
    code="ram.disable_user",
    words=Words("Disable a RAM user", "禁用 RAM 用户"),
    serves=frozenset({"ram-user"}),
    reads=("action", "user"),
    kinds=frozenset(),
    fits=action_is("disable"),
    plan=plan,
    look=look,
    verify=all_are_done(look),
    undo=undo,
)
