"""Change one parameter of an RDS instance; one that takes a restart is refused unless that was allowed."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
    client_token,
    last_is_done,
)


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    name, value = job.said("name"), job.said("value")
    running = _running(cloud, job.provider_id)
    if name not in running:
        raise Refused("no_parameter", name)
    if running[name] == value:
        raise Refused("is_so_already", value)
    restarts = _needs_restart(cloud, job.provider_id, name)
    if restarts and not job.fields.get("may_restart"):
        raise Refused("needs_restart", name)
    params = {
        "DBInstanceId": job.provider_id,
        "Parameters": json.dumps({name: value}),
        "Forcerestart": str(restarts).lower(),
        "ClientToken": client_token(job.token, 1),
    }
    return (Step("Rds", "ModifyParameter", params, Repeat.TOKEN, before={name: running[name]}),)


def _running(cloud: Cloud, name: str) -> dict[str, str]:
    found = cloud.ask("Rds", "DescribeParameters", {"DBInstanceId": name})
    listed = rows(found, "RunningParameters", "DBInstanceParameter")
    return {text(row, "ParameterName"): text(row, "ParameterValue") for row in listed}


def _needs_restart(cloud: Cloud, instance: str, name: str) -> bool:
    asked = {"DBInstanceId": instance}
    found = rows(cloud.ask("Rds", "DescribeDBInstanceAttribute", asked), "Items", "DBInstanceAttribute")
    kind = {"Engine": text(found[0], "Engine"), "EngineVersion": text(found[0], "EngineVersion")} if found else {}
    listed = rows(cloud.ask("Rds", "DescribeParameterTemplates", {**asked, **kind}), "Parameters", "TemplateRecord")
    return any(text(row, "ParameterName") == name and text(row, "ForceRestart").lower() == "true" for row in listed)


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    running = _running(cloud, step.params["DBInstanceId"])
    wanted: dict[str, str] = json.loads(step.params["Parameters"])
    return DONE if all(running.get(name) == value for name, value in wanted.items()) else ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(
        Step(
            "Rds",
            "ModifyParameter",
            {**step.params, "Parameters": json.dumps(dict(step.before))},
            Repeat.TOKEN,
        )
        for step in steps
    )


OPERATION = Executable(
    code="rds.parameter",
    words=Words("Change a parameter", "修改参数"),
    serves=frozenset({"database-parameter"}),
    reads=("name", "value", "may_restart"),
    kinds=frozenset({"rds"}),
    plan=plan,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
