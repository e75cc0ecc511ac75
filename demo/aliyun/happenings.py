"""What the simulated cloud tells beside lists and figures: system events, maintenance, agents, RDS performance keys
and slow SQL, and subscriptions. Field names and forms are those of the products' API references.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import cast

from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Estate, Json, millis, minutes, seconds

LEVELS = ("CRITICAL", "WARN", "INFO")
_ENDS: Mapping[str, tuple[str, str, str]] = {
    # product of the estate: its code in billing, the key of its id, the key of its end
    "ecs": ("ecs", "InstanceId", "ExpiredTime"),
    "rds": ("rds", "DBInstanceId", "ExpireTime"),
    "slb": ("slb", "LoadBalancerId", "_EndTime"),
    "redis": ("redisa", "InstanceId", "EndTime"),
    "mongodb": ("dds", "DBInstanceId", "ExpireTime"),
    "drds": ("drds", "DrdsInstanceId", "ExpireDate"),
    "polardbx": ("polardbx", "Id", "ExpireTime"),
    "elasticsearch": ("elasticsearch", "instanceId", "endTime"),
}
_PAY = ("InstanceChargeType", "PayType", "ChargeType", "paymentType")
PERFORMANCE: Mapping[str, tuple[str, str, tuple[float, ...]]] = {
    # key: engine, ValueFormat, the usual size of each field
    "MySQL_COMDML": (
        "MySQL",
        "com_delete&com_insert&com_insert_select&com_replace&com_replace_select&com_select&com_update",
        (3, 40, 1, 2, 0.5, 600, 55),
    ),
    "MySQL_InnoDBBufferRatio": ("MySQL", "ibuf_read_hit&ibuf_use_ratio&ibuf_dirty_ratio", (99.6, 88, 4)),
    "MySQL_InnoDBDataReadWriten": ("MySQL", "inno_data_read&inno_data_written", (900, 1400)),
    "MySQL_InnoDBLogWrites": (
        "MySQL",
        "Innodb_log_write_requests&Innodb_log_writes&Innodb_os_log_fsyncs",
        (220, 60, 60),
    ),
    "MySQL_IOPS": ("MySQL", "io", (420,)),
    "MySQL_MyISAMKeyBufferRatio": ("MySQL", "Key_usage_ratio&Key_read_hit_ratio&Key_write_hit_ratio", (12, 99, 97)),
    "MySQL_MyISAMKeyReadWrites": ("MySQL", "myisam_keyr_r&myisam_keyr_w&myisam_keyr&myisam_keyw", (30, 2, 3, 1)),
    "MySQL_QPSTPS": ("MySQL", "QPS&TPS", (720, 95)),
    "MySQL_RowDML": (
        "MySQL",
        "inno_row_update&inno_row_readed&inno_row_insert&inno_row_delete&Inno_log_writes",
        (60, 9000, 44, 3, 60),
    ),
    "MySQL_Sessions": ("MySQL", "active_session&total_session", (9, 120)),
    "MySQL_MemCpuUsage": ("MySQL", "cpuusage&memusage", (24, 61)),
    "SQLServer_BufferHit": ("SQLServer", "Buffer_Hit_Ratio", (99.2,)),
    "SQLServer_FullScans": ("SQLServer", "Full_Scans", (14,)),
    "SQLServer_SQLCompilations": ("SQLServer", "SQL_Compilations", (33,)),
    "SQLServer_CheckPoint": ("SQLServer", "CheckPoint", (8,)),
    "SQLServer_Logins": ("SQLServer", "Logins", (2,)),
    "SQLServer_LockTimeout": ("SQLServer", "LockTimeout", (0,)),
    "SQLServer_Deadlock": ("SQLServer", "Deadlock", (0,)),
    "SQLServer_LockWaits": ("SQLServer", "LockWaits", (0.4,)),
    "SQLServer_Sessions": ("SQLServer", "Sessions", (46,)),
    "SQLServer_IOPS": ("SQLServer", "IOPS", (180,)),
    "SQLServer_QPS": ("SQLServer", "QPS", (210,)),
    "SQLServer_Transactions": ("SQLServer", "Transactions", (64,)),
    "PgSQL_IOPS": ("PostgreSQL", "pgsql_iops", (90,)),
}
SPEAKS_LIKE: Mapping[str, str] = {"MariaDB": "MySQL", "PPAS": "PostgreSQL"}
"""Engines whose performance keys are those of another."""


SLOW = (
    ("select o.* from orders o where o.buyer_id = ? order by o.created_at desc limit ?", 40, 3, 800_000, 20),
    ("select sku, sum(quantity) from order_lines where created_at between ? and ? group by sku", 6, 14, 9_000_000, 400),
    ("update stock set reserved = reserved + ? where sku = ?", 3, 5, 30, 0),
)
"""What is slow on a MySQL of RDS: the statement, times a day, seconds each, rows looked at and returned each time."""


def add_event(
    estate: Estate,
    *,
    product: str,
    name: str,
    level: str,
    resource_id: str,
    at: datetime,
    status: str = "Normal",
    content: Json | None = None,
    instance_name: str = "",
    region: str = "cn-hangzhou",
) -> str:
    """Let a system event happen; returns its id."""
    if level not in LEVELS:
        raise ValueError(level)
    event_id = f"e-{zlib.crc32(f'{product}/{name}/{resource_id}/{at}/{status}'.encode()):08x}"
    estate.events.append(
        {
            "Id": event_id,
            "Product": product,
            "Name": name,
            "Level": level,
            "Status": status,
            "RegionId": region,
            "ResourceId": f"acs:{product.lower()}:{region}:1623400000000001:instance/{resource_id}",
            "InstanceName": instance_name,
            "GroupId": "0",
            "Num": "1",
            "Content": json.dumps(content or {"instanceId": resource_id}, ensure_ascii=False),
            "Time": millis(at),
        }
    )
    return event_id


def plan_maintenance(
    estate: Estate,
    *,
    instance_id: str,
    kind: str = "SystemMaintenance.Reboot",
    published: datetime,
    not_before: datetime,
    status: str = "Scheduled",
    reason: str = "Scheduled system maintenance.",
    finished: datetime | None = None,
) -> str:
    """Let ECS plan something for an instance; returns the event's id."""
    event_id = f"e-bp{zlib.crc32(f'{instance_id}/{kind}/{not_before}'.encode()):08x}"
    estate.maintenance[event_id] = {
        "EventId": event_id,
        "InstanceId": instance_id,
        "EventType": {"Name": kind, "Code": 1},
        "EventCycleStatus": {"Name": status, "Code": 24},
        "EventPublishTime": seconds(published),
        "NotBefore": seconds(not_before),
        "EventFinishTime": seconds(finished) if finished else "",
        "Reason": reason,
        "ImpactLevel": "100",
    }
    return event_id


def move_maintenance(estate: Estate, event_id: str, status: str, *, finished: datetime | None = None) -> None:
    """Executing, Executed, Canceled …"""
    row = estate.maintenance[event_id]
    row["EventCycleStatus"] = {"Name": status, "Code": 24}
    row["EventFinishTime"] = seconds(finished) if finished else ""


def system_events(call: Call) -> Json:
    try:
        after = int(call.params.get("StartTime", "") or 0)
        until = int(call.params.get("EndTime", "") or millis(call.now))
    except ValueError as error:
        raise invalid("StartTime") from error
    wanted = [(name, call.params.get(name, "")) for name in ("Product", "Name", "Level", "Status")]
    found = [
        row
        for row in sorted(call.estate.events, key=lambda row: cast(int, row["Time"]), reverse=True)
        if after <= cast(int, row["Time"]) <= until and all(value in ("", row[name]) for name, value in wanted)
    ]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 10, top=100)
    page = found[(number - 1) * size : number * size]
    return {"Success": "true", "Code": "200", "SystemEvents": {"SystemEvent": page}}


def history_events(call: Call) -> Json:
    here = {row["InstanceId"] for row in call.here("ecs")}
    statuses = {value for name, value in call.params.items() if name.startswith("InstanceEventCycleStatus")}
    rows = [
        row
        for row in call.estate.maintenance.values()
        if row["InstanceId"] in here
        and (not statuses or cast(dict[str, object], row["EventCycleStatus"])["Name"] in statuses)
    ]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 10, top=100)
    page = rows[(number - 1) * size : number * size]
    return {
        "InstanceSystemEventSet": {"InstanceSystemEventType": page},
        "PageNumber": number,
        "PageSize": size,
        "TotalCount": len(rows),
    }


def agent_statuses(call: Call) -> Json:
    wanted = call.need("InstanceIds").split(",")
    if len(wanted) > 10:
        raise invalid("InstanceIds")
    rows = [
        {
            "InstanceId": row["InstanceId"],
            "Status": {"none": "not_installed"}.get(str(row.get("_Agent", "new")), "running"),
            "AutoInstall": False,
        }
        for row in call.estate.rows["ecs"]
        if row["InstanceId"] in wanted
    ]
    return {"Success": True, "Code": "200", "NodeStatusList": {"NodeStatus": rows}}


def performance(call: Call) -> Json:
    instance_id, keys = call.need("DBInstanceId"), call.need("Key").split(",")
    if len(keys) > 30:
        raise invalid("Key")
    row = next((row for row in call.estate.rows["rds"] if row["DBInstanceId"] == instance_id), None)
    if row is None:
        raise ApiError(404, "InvalidDBInstanceId.NotFound", "The specified DB instance does not exist.")
    try:
        start, end = (
            datetime.strptime(call.need(name), "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
            for name in ("StartTime", "EndTime")
        )
    except ValueError as error:
        raise invalid("StartTime") from error
    if start >= end:
        raise ApiError(400, "InvalidEndTime.Mismatch", "The start time must be earlier than the end time.")
    found = [
        {
            "Key": key,
            "Unit": "int",
            "ValueFormat": PERFORMANCE[key][1],
            "Values": {
                "PerformanceValue": _values(instance_id, key, start, min(end, call.now - timedelta(seconds=60)))
            },
        }
        for key in keys
        if key in PERFORMANCE and PERFORMANCE[key][0] == SPEAKS_LIKE.get(str(row["Engine"]), row["Engine"])
    ]
    return {
        "DBInstanceId": instance_id,
        "Engine": row["Engine"],
        "StartTime": minutes(start),
        "EndTime": minutes(end),
        "PerformanceKeys": {"PerformanceKey": found},
    }


def slow_logs(call: Call) -> Json:
    instance_id = call.need("DBInstanceId")
    row = next((row for row in call.estate.rows["rds"] if row["DBInstanceId"] == instance_id), None)
    if row is None:
        raise ApiError(404, "InvalidDBInstanceId.NotFound", "The specified DB instance does not exist.")
    if row["Engine"] not in ("MySQL", "MariaDB"):
        raise ApiError(400, "IncorrectEngine", "Current engine does not support this operation.")
    try:
        first, last = (date.fromisoformat(call.need(name).removesuffix("Z")) for name in ("StartTime", "EndTime"))
    except ValueError as error:
        raise invalid("StartTime") from error
    if not timedelta(0) <= last - first <= timedelta(days=31):
        raise ApiError(400, "InvalidEndTime.Mismatch", "The time range must not exceed 31 days.")
    known = call.estate.work.slow_sql.get(instance_id)
    days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
    found = known if known is not None else [one for day in days for one in _slow_on(instance_id, day)]
    found = [one for one in found if f"{first}Z" <= str(one["CreateTime"]) <= f"{last}Z"]
    page, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=100)
    here = found[(page - 1) * size : page * size]
    return {
        "DBInstanceID": instance_id,
        "Engine": row["Engine"],
        "StartTime": f"{first}Z",
        "EndTime": f"{last}Z",
        "TotalRecordCount": len(found),
        "PageNumber": page,
        "PageRecordCount": len(here),
        "Items": {"SQLSlowLog": here},
    }


def slow_row(statement: str, *, day: date, count: int, total_s: int, longest_s: int = 0, examined: int = 0) -> Json:
    """One statement of one day as DescribeSlowLogs lists it."""
    return {
        "SQLHASH": f"{zlib.crc32(statement.encode()):08x}",
        "SQLText": statement,
        "DBName": "shop",
        "CreateTime": f"{day}Z",
        "MySQLTotalExecutionCounts": count,
        "MySQLTotalExecutionTimes": total_s,
        "MaxExecutionTime": longest_s or total_s,
        "TotalLockTimes": 0,
        "MaxLockTime": 0,
        "ParseTotalRowCounts": examined,
        "ReturnTotalRowCounts": 0,
    }


def _slow_on(instance_id: str, day: date) -> Iterator[Json]:
    """A pure function of instance and day."""
    for statement, times, seconds_each, examined, returned in SLOW:
        share = zlib.crc32(f"{instance_id}/{day}/{statement}".encode()) / 2**32
        count = round(times * (0.5 + share))
        row = slow_row(
            statement, day=day, count=count, total_s=count * seconds_each,
            longest_s=round(seconds_each * (1 + 2 * share)), examined=count * examined,
        )  # fmt: skip
        yield {**row, "ReturnTotalRowCounts": count * returned}


def _minute(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)


def _values(instance_id: str, key: str, start: datetime, end: datetime) -> list[Json]:
    """A value every minute, each a pure function of instance, key and minute."""
    found: list[Json] = []
    moment = start.replace(second=0, microsecond=0)
    while moment <= end:
        wave = 1 + 0.3 * math.sin((moment.hour * 60 + moment.minute) / 1440 * 2 * math.pi)
        noise = zlib.crc32(f"{instance_id}/{key}/{moment}".encode()) / 2**32
        parts = [size * (wave + 0.1 * noise) for size in PERFORMANCE[key][2]]
        capped = [
            min(part, 100.0) if size > 80 and "Ratio" in key else part
            for part, size in zip(parts, PERFORMANCE[key][2], strict=True)
        ]
        found.append({"Date": seconds(moment), "Value": "&".join(f"{part:.2f}" for part in capped)})
        moment += timedelta(minutes=1)
    return found


def available_instances(call: Call) -> Json:
    """Everything prepaid, whatever the product, the way billing lists it."""
    rows: list[Json] = []
    for product, (code, name_key, end_key) in _ENDS.items():
        for row in call.estate.rows[product]:
            pay = next((str(row[key]) for key in _PAY if key in row), "PrePaid").lower()
            if not pay.startswith("pre") or str(row[end_key]).startswith(("2999", "4724")):
                continue
            rows.append(
                _subscription(call.estate, code, str(row[name_key]), str(row.get("RegionId") or ""), row[end_key])
            )
    rows += [
        _subscription(call.estate, str(extra["ProductCode"]), str(extra["InstanceID"]), "", extra["EndTime"])
        for extra in call.estate.subscriptions
    ]
    number, size = call.number("PageNum", 1), call.number("PageSize", 20, top=300)
    page = rows[(number - 1) * size : number * size]
    data = {"PageNum": number, "PageSize": size, "TotalCount": len(rows), "InstanceList": page}
    return {"Success": True, "Code": "Success", "Message": "Successful!", "Data": data}


def _subscription(estate: Estate, product: str, instance_id: str, region: str, end: object) -> Json:
    return {
        "ProductCode": product,
        "ProductType": "",
        "SubscriptionType": "Subscription",
        "InstanceID": instance_id,
        "Region": region,
        "EndTime": _end(end),
        "Status": "Normal",
        "RenewStatus": estate.renewals.get(instance_id, "ManualRenewal"),
        "RenewalDurationUnit": "M",
    }


def _end(value: object) -> str:
    """Billing writes every end in one way, to the second."""
    if isinstance(value, int):
        return seconds(datetime.fromtimestamp(value / 1000, UTC))
    return seconds(datetime.fromisoformat(str(value)).astimezone(UTC))


ACTIONS: Mapping[str, Mapping[str, Callable[[Call], Json]]] = {
    "Cms": {
        "DescribeSystemEventAttribute": system_events,
        "DescribeMonitoringAgentStatuses": agent_statuses,
    },
    "Ecs": {"DescribeInstanceHistoryEvents": history_events},
    "Rds": {"DescribeDBInstancePerformance": performance, "DescribeSlowLogs": slow_logs},
    "BssOpenApi": {"QueryAvailableInstances": available_instances},
}
