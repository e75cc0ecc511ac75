"""Security Center of the simulated cloud: vulnerabilities and suspicious events, paged and filtered as the real one
does. Field names and forms are those of the API reference (Sas 2018-12-03)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from demo.aliyun.answers import Call, invalid
from demo.aliyun.estate import Estate, Json, millis

ZONE = ZoneInfo("Asia/Shanghai")
KINDS = ("cve", "sys", "cms", "app", "emg", "sca")
OPEN = frozenset({1, 2, 3, 4, 5, 6, 9})
PENDING = frozenset({1, 16})


def add_vulnerability(
    estate: Estate,
    *,
    instance_id: str,
    name: str,
    found_at: datetime,
    kind: str = "cve",
    need: str = "asap",
    status: int = 1,
    fixed_at: datetime | None = None,
) -> Json:
    row: Json = {
        "Type": kind,
        "Name": name,
        "AliasName": name,
        "Necessity": need,
        "Status": status,
        "InstanceId": instance_id,
        "InstanceName": instance_id,
        "FirstTs": millis(found_at),
        "LastTs": millis(fixed_at or found_at),
        "RepairTs": 0 if fixed_at is None else millis(fixed_at),
    }
    estate.vulnerabilities.append(row)
    return row


def add_suspicion(
    estate: Estate,
    *,
    instance_id: str,
    name: str,
    at: datetime,
    level: str = "serious",
    status: int = 1,
    kind: str = "异常登录",
    text: str = "",
) -> Json:
    row: Json = {
        "Id": len(estate.suspicions) + 1,
        "AlarmEventName": name,
        "AlarmEventNameDisplay": name,
        "AlarmEventType": kind,
        "AlarmEventTypeDisplay": kind,
        "Desc": text,
        "Level": level,
        "EventStatus": status,
        "InstanceId": instance_id,
        "InstanceName": instance_id,
        "OccurrenceTime": f"{at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
        "OccurrenceTimeStamp": millis(at),
    }
    estate.suspicions.append(row)
    return row


def vulnerability_list(call: Call) -> Json:
    kind = call.need("Type")
    if kind not in KINDS:
        raise invalid("Type")
    dealt = {"": None, "y": True, "n": False}.get(call.params.get("Dealed", ""), "")
    if dealt == "":
        raise invalid("Dealed")
    rows = [row for row in call.estate.vulnerabilities if row["Type"] == kind]
    return _paged(call, "VulRecords", [row for row in rows if dealt is None or (row["Status"] not in OPEN) == dealt])


def suspicion_list(call: Call) -> Json:
    since, until = _wall(call, "TimeStart"), _wall(call, "TimeEnd")
    dealt = {"": None, "Y": True, "N": False}.get(call.params.get("Dealed", ""), "")
    if dealt == "":
        raise invalid("Dealed")
    rows = [
        row
        for row in call.estate.suspicions
        if (since is None or int(str(row["OccurrenceTimeStamp"])) >= millis(since))
        and (until is None or int(str(row["OccurrenceTimeStamp"])) <= millis(until))
        and (dealt is None or (row["EventStatus"] not in PENDING) == dealt)
    ]
    return _paged(call, "SuspEvents", sorted(rows, key=lambda row: -int(str(row["OccurrenceTimeStamp"]))))


def _paged(call: Call, name: str, rows: list[Json]) -> Json:
    page, size = call.number("CurrentPage", 1), call.number("PageSize", 20, top=100)
    some = rows[(page - 1) * size : page * size]
    return {"CurrentPage": page, "PageSize": size, "Count": len(some), "TotalCount": len(rows), name: some}


def _wall(call: Call, name: str) -> datetime | None:
    text = call.params.get(name, "")
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).astimezone(UTC)
    except ValueError:
        raise invalid(name) from None


ACTIONS: Mapping[str, Callable[[Call], Json]] = {
    "DescribeVulList": vulnerability_list,
    "DescribeSuspEvents": suspicion_list,
}
