"""What Alibaba Cloud tells beside lists and figures: system events, planned maintenance, agents, RDS performance and
slow SQL, and what is paid until when. Functions over a `Connection`; rows are read into frozen shapes here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from assets.aliyun.resources import Row, number, parse_time, rows, text
from assets.aliyun.transport import AliyunError, Connection

MAX_PAGES = 200
AGENTS_PER_CALL = 10
PERFORMANCE_KEYS = 30
"""Most keys of one DescribeDBInstancePerformance call."""
ENDED = frozenset({"executed", "avoided", "canceled", "cancelled", "failed"})
CALLED_OFF = frozenset({"avoided", "canceled", "cancelled"})
SETTLED = frozenset({"executed", "recovered", "normal", "succeeded", "success", "avoided", "canceled", "cancelled"})


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """A system event of CloudMonitor. `level` is CRITICAL, WARN or INFO; `resource_id` the bare instance id."""

    event_id: str
    product: str
    name: str
    level: str
    status: str
    region: str
    resource_id: str
    instance_name: str
    occurred_at: datetime
    content: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whatever was announced or broken is over."""
        return self.status.lower() in SETTLED


@dataclass(frozen=True, slots=True)
class Maintenance:
    """An event that ECS has planned for an instance, carries out, or has carried out."""

    event_id: str
    instance_id: str
    kind: str  # SystemMaintenance.Reboot …
    status: str  # Scheduled, Executing, Executed, Canceled, Avoided …
    reason: str
    impact: str
    published_at: datetime | None
    not_before: datetime | None
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.status.lower() in ENDED

    @property
    def is_called_off(self) -> bool:
        return self.status.lower() in CALLED_OFF


@dataclass(frozen=True, slots=True)
class Performance:
    """One key of one instance: its fields and, per moment (Unix ms), their values in that order."""

    key: str
    fields: tuple[str, ...]
    points: tuple[tuple[int, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class SlowSql:
    """A statement that was slow on one day (UTC): how often, how long altogether and at most, for how long it waited
    for locks, and the rows that it looked at and returned. The text may hold values."""

    key: str
    database: str
    text: str
    day: date | None
    count: int
    total_s: float
    longest_s: float
    lock_s: float
    rows_examined: int
    rows_returned: int


@dataclass(frozen=True, slots=True)
class Paid:
    """A subscription as the billing of the account lists it."""

    product: str
    instance_id: str
    region: str
    ends_at: datetime
    renewal: str  # AutoRenewal, ManualRenewal, NotRenewal
    status: str


def system_events(client: Connection, start: datetime, end: datetime) -> Iterator[SystemEvent]:
    """System events between two moments, newest first as the API gives them."""
    window = {"StartTime": str(_millis(start)), "EndTime": str(_millis(end))}
    action = ("Cms", "2019-01-01", "DescribeSystemEventAttribute")
    for row in _numbered(client, action, window, ("SystemEvents", "SystemEvent"), size=100):
        yield _system_event(row)


def maintenance(client: Connection, region: str) -> Iterator[Maintenance]:
    """The maintenance of the ECS instances of a region: planned, going on, and lately done or called off."""
    wanted = {
        f"InstanceEventCycleStatus.{at}": status
        for at, status in enumerate(("Scheduled", "Inquiring", "Executing", "Executed", "Avoided", "Canceled"), 1)
    }
    action = ("Ecs", "2014-05-26", "DescribeInstanceHistoryEvents")
    path = ("InstanceSystemEventSet", "InstanceSystemEventType")
    for row in _numbered(client, action, wanted, path, size=100, region=region):
        yield Maintenance(
            event_id=text(row, "EventId"),
            instance_id=text(row, "InstanceId"),
            kind=text(row, "EventType", "Name") or text(row, "EventType"),
            status=text(row, "EventCycleStatus", "Name") or text(row, "EventCycleStatus"),
            reason=text(row, "Reason"),
            impact=text(row, "ImpactLevel"),
            published_at=parse_time(text(row, "EventPublishTime")),
            not_before=parse_time(text(row, "NotBefore")),
            finished_at=parse_time(text(row, "EventFinishTime")),
        )


def agent_states(client: Connection, instance_ids: Sequence[str]) -> dict[str, str]:
    """The state of the CloudMonitor agent per instance: running, stopped, not_installed … as the API spells it."""
    found: dict[str, str] = {}
    for some in _portions(instance_ids, AGENTS_PER_CALL):
        wanted = {"InstanceIds": ",".join(some)}
        answer = client.call("Cms", "2019-01-01", "DescribeMonitoringAgentStatuses", wanted)
        for row in rows(answer, "NodeStatusList", "NodeStatus"):
            found[text(row, "InstanceId")] = text(row, "Status").lower()
        for name in some:
            found.setdefault(name, "not_installed")
    return found


def performance(
    client: Connection, instance_id: str, keys: Sequence[str], start: datetime, end: datetime, *, region: str = ""
) -> list[Performance]:
    """Figures of one RDS instance. Values come joined by "&", in the order that ValueFormat names."""
    found: list[Performance] = []
    for some in _portions(keys, PERFORMANCE_KEYS):
        wanted = {
            "DBInstanceId": instance_id,
            "Key": ",".join(some),
            "StartTime": f"{start.astimezone(UTC):%Y-%m-%dT%H:%MZ}",
            "EndTime": f"{end.astimezone(UTC):%Y-%m-%dT%H:%MZ}",
        }
        answer = client.call("Rds", "2014-08-15", "DescribeDBInstancePerformance", wanted, region=region)
        found += map(_performance, rows(answer, "PerformanceKeys", "PerformanceKey"))
    return found


def slow_sql(client: Connection, instance_id: str, first: date, last: date, *, region: str = "") -> list[SlowSql]:
    """What was slow from one day to another, 31 days at most, of RDS for MySQL and MariaDB (and SQL Server 2008 R2)."""
    wanted = {"DBInstanceId": instance_id, "StartTime": f"{first:%Y-%m-%d}Z", "EndTime": f"{last:%Y-%m-%d}Z"}
    action = ("Rds", "2014-08-15", "DescribeSlowLogs")
    path = ("Items", "SQLSlowLog")
    listed = _numbered(client, action, wanted, path, size=100, total=("TotalRecordCount",), region=region)
    return [_slow_sql(row) for row in listed]


def paid(client: Connection) -> list[Paid]:
    """Every subscription of the account, whatever the product: one list instead of one per product (R41)."""
    action = ("BssOpenApi", "2017-12-14", "QueryAvailableInstances")
    names = ("PageNum", "PageSize")
    found = []
    for row in _numbered(
        client, action, {}, ("Data", "InstanceList"), size=100, names=names, total=("Data", "TotalCount")
    ):
        ends_at = parse_time(text(row, "EndTime"))
        if ends_at is not None and text(row, "SubscriptionType") in ("", "Subscription"):
            found.append(
                Paid(
                    product=text(row, "ProductCode"),
                    instance_id=text(row, "InstanceID"),
                    region=text(row, "Region"),
                    ends_at=ends_at,
                    renewal=text(row, "RenewStatus"),
                    status=text(row, "Status"),
                )
            )
    return found


def _numbered(  # one paged action, said in full
    client: Connection,
    action: tuple[str, str, str],
    params: Mapping[str, str],
    path: Sequence[str],
    *,
    size: int,
    names: tuple[str, str] = ("PageNumber", "PageSize"),
    total: Sequence[str] = ("TotalCount",),
    region: str = "",
) -> Iterator[Row]:
    """Page after page, until the page that is not full; a page that should be full and is empty is an error."""
    product, version, verb = action
    seen = 0
    for page in range(1, MAX_PAGES + 1):
        wanted = {**params, names[0]: str(page), names[1]: str(size)}
        answer = client.call(product, version, verb, wanted, region=region)
        some, there = rows(answer, *path), number(answer, *total)
        yield from some
        seen += len(some)
        if there is not None and seen < there and not some:
            raise AliyunError("IncompleteListing", f"{product} {verb} listed fewer than it counted.")
        if len(some) < size and (there is None or seen >= there):
            return
        if there is not None and seen >= there:
            return
    raise AliyunError("IncompleteListing", f"{product} {verb} never came to its last page.")


def _system_event(row: Row) -> SystemEvent:
    resource = text(row, "ResourceId")
    moment = number(row, "Time") or 0
    content = _json(text(row, "Content"))
    resource_id = resource.rpartition("/")[2] or str(content.get("instanceId", ""))
    name, product = text(row, "Name"), text(row, "Product")
    told = text(row, "Id") or str(content.get("eventId", ""))
    return SystemEvent(
        event_id=told or f"{product}:{name}:{resource_id}:{moment}",
        product=product,
        name=name,
        level=text(row, "Level").upper(),
        status=text(row, "Status"),
        region=text(row, "RegionId"),
        resource_id=resource_id,
        instance_name=text(row, "InstanceName"),
        occurred_at=datetime.fromtimestamp(moment / 1000, UTC),
        content=content,
    )


def _performance(row: Row) -> Performance:
    key = text(row, "Key")
    fields = tuple(part.strip() for part in text(row, "ValueFormat").split("&") if part.strip()) or (key,)
    points = []
    for value in rows(row, "Values", "PerformanceValue"):
        moment = parse_time(text(value, "Date"))
        parts = text(value, "Value").split("&")
        if moment is not None and len(parts) == len(fields):
            points.append((_millis(moment), tuple(map(_float, parts))))
    return Performance(key, fields, tuple(points))


def _slow_sql(row: Row) -> SlowSql:
    """MySQL counts whole seconds; SQL Server says the sum in milliseconds."""
    mysql, mssql = number(row, "MySQLTotalExecutionCounts"), number(row, "SQLServerTotalExecutionCounts")
    total_s = number(row, "MySQLTotalExecutionTimes") or (number(row, "SQLServerTotalExecutionTimes") or 0) / 1000
    words = text(row, "SQLText")
    return SlowSql(
        key=text(row, "SQLHASH") or words,
        database=text(row, "DBName"),
        text=words,
        day=_day(text(row, "CreateTime")),
        count=mysql or mssql or 0,
        total_s=float(total_s),
        longest_s=float(number(row, "MaxExecutionTime") or 0),
        lock_s=float(number(row, "TotalLockTimes") or 0),
        rows_examined=number(row, "ParseTotalRowCounts") or 0,
        rows_returned=number(row, "ReturnTotalRowCounts") or 0,
    )


def _portions(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[at : at + size] for at in range(0, len(names), size))


def _float(part: str) -> float:
    try:
        return float(part)
    except ValueError:
        return float("nan")  # "no value at this moment"; whoever stores figures leaves it out


def _day(said: str) -> date | None:
    """``2011-05-30Z``."""
    try:
        return date.fromisoformat(said.removesuffix("Z"))
    except ValueError:
        return None


def _json(content: str) -> Mapping[str, object]:
    try:
        found = json.loads(content or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
