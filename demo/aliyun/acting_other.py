"""The calls by which SLB, DNS and RDS of the simulated cloud are changed, and what shows the outcome."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from demo.aliyun.acting import new_id, once, progress
from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Json, seconds

# SLB


def backends_of(call: Call, balancer: str) -> list[Json]:
    """The first who asks finds two of the region's servers behind it."""
    if balancer not in call.estate.work.backends:
        servers = [
            str(row["InstanceId"]) for row in call.estate.rows["ecs"] if row["RegionId"] == call.params["RegionId"]
        ]
        call.estate.work.backends[balancer] = [_backend(name, 100) for name in servers[:2]]
    return call.estate.work.backends[balancer]


def _backend(name: str, weight: int) -> Json:
    return {"ServerId": name, "Weight": weight, "Type": "ecs", "ServerIp": "", "Description": ""}


def _balancer(call: Call) -> str:
    wanted = call.need("LoadBalancerId")
    if not any(row["LoadBalancerId"] == wanted for row in call.estate.rows["slb"]):
        raise ApiError(404, "InvalidLoadBalancerId.NotFound", "The specified LoadBalancerId does not exist.")
    return wanted


def _servers(call: Call) -> list[Mapping[str, object]]:
    try:
        listed = json.loads(call.need("BackendServers"))
    except ValueError:
        raise invalid("BackendServers") from None
    if not isinstance(listed, list) or not 1 <= len(listed) <= 20:
        raise invalid("BackendServers")
    return listed


def add_backends(call: Call) -> Json:
    there = backends_of(call, _balancer(call))
    known = {row["InstanceId"] for row in call.estate.rows["ecs"]}
    for one in _servers(call):
        if one.get("ServerId") not in known:
            raise ApiError(404, "ObtainIpFail", "The specified backend server does not exist.")
    for one in _servers(call):
        there[:] = [each for each in there if each["ServerId"] != one["ServerId"]]
        there.append(_backend(str(one["ServerId"]), int(str(one.get("Weight", 100)))))
    return {"LoadBalancerId": call.params["LoadBalancerId"], "BackendServers": {"BackendServer": there}}


def remove_backends(call: Call) -> Json:
    there = backends_of(call, _balancer(call))
    gone = {one.get("ServerId") for one in _servers(call)}
    there[:] = [each for each in there if each["ServerId"] not in gone]
    return {"LoadBalancerId": call.params["LoadBalancerId"], "BackendServers": {"BackendServer": there}}


# DNS


def records_of(call: Call) -> list[Json]:
    domain = call.need("DomainName")
    known = {str(row["DomainName"]).split(".", 1)[1] for row in call.estate.rows["cdn"]}
    if domain not in known:
        raise ApiError(400, "InvalidDomainName.NoExist", "The specified domain name does not exist.")
    first = [_record(domain, {"RR": "www", "Type": "A", "Value": "47.96.10.10", "TTL": "600"})]
    return call.estate.work.records.setdefault(domain, first)


def _record(domain: str, said: Mapping[str, str]) -> Json:
    if said["Type"] == "A" and not all(part.isdigit() for part in said["Value"].split(".")):
        raise ApiError(
            400, "DomainRecordConflict" if not said["Value"] else "InvalidRR.Format", "The value does not fit."
        )
    return {
        "RecordId": new_id("9"),
        "DomainName": domain,
        "RR": said["RR"],
        "Type": said["Type"],
        "Value": _kept(said["Type"], said["Value"]),
        "TTL": int(said.get("TTL") or 600),
        "Status": "ENABLE",
        **_line_and_priority(said),
    }


def _kept(kind: str, value: str) -> str:
    """A name is kept without the dot at its end."""
    return value.removesuffix(".") if kind in ("CNAME", "MX", "NS", "SRV") else value


def _line_and_priority(said: Mapping[str, str]) -> Json:
    """What nobody says is the usual line; a mail server has a priority."""
    if said["Type"] == "MX" and not said.get("Priority"):
        raise ApiError(400, "MissingPriority", "The Priority parameter is required for an MX record.")
    return {
        "Line": said.get("Line") or "default",
        **({"Priority": int(said["Priority"])} if said["Type"] == "MX" else {}),
    }


def describe_records(call: Call) -> Json:
    """Found by a part of the host record, in large and small letters alike."""
    rr, kind = call.params.get("RRKeyWord", "").lower(), call.params.get("Type", "")
    rows = [row for row in records_of(call) if rr in str(row["RR"]).lower() and kind in ("", row["Type"])]
    return {"DomainRecords": {"Record": rows}, "TotalCount": len(rows), "PageNumber": 1, "PageSize": 500}


def add_record(call: Call) -> Json:
    there = records_of(call)
    said = {name: call.need(name) for name in ("RR", "Type", "Value", "TTL")}
    made = _record(call.params["DomainName"], {**call.params, **said})
    if any(all(row[name] == made[name] for name in ("RR", "Type", "Value", "Line")) for row in there):
        raise ApiError(400, "DomainRecordDuplicate", "The DNS record already exists.")
    there.append(made)
    return {"RecordId": made["RecordId"]}


def _found(call: Call) -> tuple[list[Json], Json]:
    wanted = call.need("RecordId")
    for rows in call.estate.work.records.values():
        for row in rows:
            if row["RecordId"] == wanted:
                return rows, row
    raise ApiError(400, "DomainRecordNotBelongToUser", "The DNS record does not belong to you.")


def update_record(call: Call) -> Json:
    _, row = _found(call)
    said = {name: call.need(name) for name in ("RR", "Type", "Value")}
    said["Value"] = _kept(said["Type"], said["Value"])
    after: Json = {**said, "TTL": int(call.params.get("TTL") or 600), **_line_and_priority(call.params)}
    if all(row.get(name) == value for name, value in after.items()):
        raise ApiError(400, "DomainRecordDuplicate", "The DNS record already exists.")
    row.update(after)
    return {"RecordId": row["RecordId"]}


def delete_record(call: Call) -> Json:
    rows, row = _found(call)
    rows.remove(row)
    return {"RecordId": row["RecordId"]}


# RDS

PARAMETERS = {"max_connections": "4000", "long_query_time": "1", "innodb_buffer_pool_size": "6442450944"}
RESTARTS = frozenset({"innodb_buffer_pool_size"})


def _instance(call: Call) -> Json:
    wanted = call.need("DBInstanceId")
    for row in call.estate.rows["rds"]:
        if row["DBInstanceId"] == wanted:
            return row
    raise ApiError(404, "InvalidDBInstanceId.NotFound", "The specified DB instance does not exist.")


def create_backup(call: Call) -> Json:
    row = _instance(call)
    mine = [each for each in call.estate.work.backups if each["DBInstanceId"] == row["DBInstanceId"]]
    if any(each["_status"] == "Uploading" for each in mine):
        raise ApiError(400, "BackupJobExists", "A backup job already exists in the current DB instance.")
    method = call.params.get("BackupMethod") or "Physical"
    if method not in _methods_of(call, row):
        raise ApiError(
            400, "InvalidBackupMethod.ValueNotSupport", 'The specified parameter "BackupMethod" is not valid.'
        )
    backup: Json = {
        "BackupId": new_id("6"),
        "BackupJobId": new_id("8"),
        "DBInstanceId": row["DBInstanceId"],
        "BackupMethod": method,
        "BackupRetentionPeriod": call.params.get("BackupRetentionPeriod", ""),
        "BackupMode": "Manual",
        "BackupStatus": "Success",
        "BackupStartTime": seconds(call.now),
        "_since": call.now,
        "_status": "Uploading",
    }
    call.estate.work.backups.append(backup)
    call.estate.work.after(call.now, lambda: backup.update(_status="Finished"))
    return {"BackupJobId": backup["BackupJobId"]}


def _methods_of(call: Call, row: Json) -> tuple[str, ...]:
    """SQL Server on cloud disks is backed up as its policy says, and never logically; MariaDB is told no snapshot."""
    if row["Engine"] == "MariaDB":
        return ("Physical", "Logical")
    if row["Engine"] != "SQLServer":
        return ("Physical", "Logical", "Snapshot")
    return (str(_policy_of(call, row).get("BackupMethod", "Physical")),)


def _of(call: Call, status: str) -> list[Json]:
    name = _instance(call)["DBInstanceId"]
    return [each for each in call.estate.work.backups if each["DBInstanceId"] == name and each["_status"] == status]


def describe_backups(call: Call) -> Json:
    rows = [{key: value for key, value in each.items() if not key.startswith("_")} for each in _of(call, "Finished")]
    return {"Items": {"Backup": rows}, "TotalRecordCount": str(len(rows)), "PageNumber": "1"}


def describe_backup_tasks(call: Call) -> Json:
    rows = [
        {
            "BackupJobId": each["BackupJobId"],
            "BackupProgressStatus": each["_status"],
            "Process": str(progress(call, each)),
            "JobMode": "Manual",
        }
        for each in _of(call, "Uploading")
    ]
    return {"Items": {"BackupJob": rows}}


def describe_backup_policy(call: Call) -> Json:
    return _policy_of(call, _instance(call))


def _policy_of(call: Call, row: Json) -> Json:
    """The window is told in UTC: 18:00Z is two o'clock at night in Beijing, of the next day. How it is backed up is
    told of SQL Server on cloud disks only."""
    first: Json = {
        "PreferredBackupPeriod": "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday",
        "PreferredBackupTime": "18:00Z-19:00Z",
        "BackupRetentionPeriod": 7,
        "BackupLog": "Enable",
        "LogBackupRetentionPeriod": 7,
    }
    if row["Engine"] == "SQLServer" and not str(row["DBInstanceStorageType"]).startswith("local"):
        first["BackupMethod"] = "Snapshot"
    return call.estate.work.backup_policies.setdefault(str(row["DBInstanceId"]), first)


def _parameters(call: Call) -> dict[str, str]:
    return call.estate.work.parameters.setdefault(str(_instance(call)["DBInstanceId"]), dict(PARAMETERS))


def describe_parameters(call: Call) -> Json:
    rows = [{"ParameterName": name, "ParameterValue": value} for name, value in _parameters(call).items()]
    return {"RunningParameters": {"DBInstanceParameter": rows}, "ConfigParameters": {"DBInstanceParameter": []}}


def describe_templates(call: Call) -> Json:
    rows = [
        {"ParameterName": name, "ForceRestart": str(name in RESTARTS), "ForceModify": "true"}
        for name in _parameters(call)
    ]
    return {"Parameters": {"TemplateRecord": rows}}


def modify_parameter(call: Call) -> Json:
    running = _parameters(call)
    try:
        said = json.loads(call.need("Parameters"))
    except ValueError:
        raise invalid("Parameters") from None
    if not isinstance(said, dict) or not said.keys() <= running.keys():
        raise ApiError(400, "ParametersNotFound", "The specified parameter does not exist.")

    def act() -> Json:
        call.estate.work.after(call.now, lambda: running.update({name: str(value) for name, value in said.items()}))
        return {}

    return once(call, "ModifyParameter", act)


Actions = Mapping[str, Callable[[Call], Json]]
READS: Mapping[str, Actions] = {
    "Alidns": {"DescribeDomainRecords": describe_records},
    "Rds": {
        "DescribeBackups": describe_backups,
        "DescribeBackupPolicy": describe_backup_policy,
        "DescribeBackupTasks": describe_backup_tasks,
        "DescribeParameters": describe_parameters,
        "DescribeParameterTemplates": describe_templates,
    },
}
WRITES: Mapping[str, Actions] = {
    "Slb": {"AddBackendServers": add_backends, "RemoveBackendServers": remove_backends},
    "Alidns": {
        "AddDomainRecord": add_record,
        "UpdateDomainRecord": update_record,
        "DeleteDomainRecord": delete_record,
    },
    "Rds": {"CreateBackup": create_backup, "ModifyParameter": modify_parameter},
}
