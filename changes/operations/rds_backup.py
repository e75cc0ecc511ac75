"""A backup of an RDS instance now. The call has no client token: what it made is known by not having been there.

How it is made hangs on engine and storage (RDS API reference, CreateBackup and DescribeBackupPolicy): of SQL Server on
cloud disks as its policy says, a snapshot where that says nothing, and never logically; MariaDB is told "physical"
for snapshots as well; the rest is physical unless somebody asks otherwise.
"""

from datetime import timedelta

from assets.aliyun.resources import Row, rows, text
from changes.catalogue import Words
from changes.operations.executable import (
    ABSENT,
    Cloud,
    Executable,
    Fields,
    Job,
    Progress,
    Refused,
    Repeat,
    Seen,
    Step,
    last_is_done,
    percent_of,
)

KEPT_DAYS = range(7, 731)
_METHODS = {"physical": "Physical", "logical": "Logical", "snapshot": "Snapshot"}


def fits(fields: Fields) -> bool:
    return fields.get("method") in _METHODS


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    asked = {"DBInstanceId": job.provider_id}
    found = rows(cloud.ask("Rds", "DescribeDBInstanceAttribute", asked), "Items", "DBInstanceAttribute")
    status = text(found[0], "DBInstanceStatus") if found else ""
    if status != "Running":
        raise Refused("wrong_status", status)
    if running := _running(cloud, job):
        raise Refused("backup_runs", text(running[0], "BackupJobId"))
    method = _method(cloud, job, found[0])
    before = {"BackupIds": " ".join(text(row, "BackupId") for row in _backups(cloud, job))}
    params = {
        **asked,
        "BackupMethod": method,
        **_kept(job, text(found[0], "Engine")),
    }
    return (Step("Rds", "CreateBackup", params, Repeat.NEVER, keeps=("BackupJobId",), before=before),)


def _method(cloud: Cloud, job: Job, found: Row) -> str:
    """The one that was asked for, when the instance has it; what nobody asked for is the one that it has."""
    has = _methods_of(cloud, job, found)
    wanted = _METHODS[job.said("method")] if job.said("method") else has[0]
    if wanted not in has:
        raise Refused("no_method", f"{text(found, 'Engine')}: {', '.join(has)}")
    return wanted


def _methods_of(cloud: Cloud, job: Job, found: Row) -> tuple[str, ...]:
    engine = text(found, "Engine").lower()
    if engine == "mariadb":
        return ("Physical", "Logical")
    if engine != "sqlserver":
        return ("Physical", "Logical", "Snapshot")
    if text(found, "DBInstanceStorageType").startswith("local"):
        return ("Physical",)
    policy = cloud.ask("Rds", "DescribeBackupPolicy", {"DBInstanceId": job.provider_id})
    return (text(policy, "BackupMethod") or "Snapshot",)


def _kept(job: Job, engine: str) -> dict[str, str]:
    """For how long (RDS API reference, CreateBackup); unsaid, as the instance's policy has it."""
    said = job.said("keep_days")
    if not said:
        return {}
    if engine.lower() != "mysql" or int(said) not in KEPT_DAYS:
        raise Refused("cannot_keep", f"{engine}, {said}")
    return {"BackupRetentionPeriod": said}


def _running(cloud: Cloud, job: Job) -> list[Row]:
    asked = {"DBInstanceId": job.provider_id, "BackupMode": "Manual"}
    found = rows(cloud.ask("Rds", "DescribeBackupTasks", asked), "Items", "BackupJob")
    return [
        row for row in found if text(row, "BackupProgressStatus") in ("NoStart", "Preparing", "Waiting", "Uploading")
    ]


def _backups(cloud: Cloud, job: Job) -> list[Row]:
    asked = {"DBInstanceId": job.provider_id, "BackupMode": "Manual", "PageSize": "100"}
    return rows(cloud.ask("Rds", "DescribeBackups", asked), "Items", "Backup")


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    known = step.before.get("BackupIds", "").split()
    for row in _backups(cloud, job):
        if text(row, "BackupId") not in known:
            status = text(row, "BackupStatus")
            progress = Progress.DONE if status == "Success" else Progress.FAILED
            return Seen(progress, 100, status, {"BackupId": text(row, "BackupId")})
    for row in _running(cloud, job):
        return Seen(Progress.GOING, percent_of(row, "Process"), text(row, "BackupProgressStatus"))
    return ABSENT


OPERATION = Executable(
    code="rds.backup",
    words=Words("Back the instance up", "备份实例"),
    serves=frozenset({"manual-backup"}),
    reads=("method", "keep_days"),
    kinds=frozenset({"rds"}),
    fits=fits,
    plan=plan,
    look=look,
    verify=last_is_done(look),
    backs_up="database",
    kept_as="BackupId",
    longest=timedelta(hours=12),
)
