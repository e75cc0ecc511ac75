"""ActionTrail of the simulated cloud: events that are listed some minutes late, now and then twice, in pages, for 90
days, two calls a second; each region lists its own, and one of them what belongs to none. Field names are those of
LookupEvents' reference.
"""

import re
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Estate, Json, seconds

BACK = timedelta(days=90)
LONGEST = timedelta(days=30)
"""The longest time range of one query."""
GLOBAL = frozenset({"Ram", "Ims", "Sts", "AasSub", "AasCustomer", "ResourceManager", "CloudSSO"})
"""Services that belong to no region: their events are kept in `Estate.global_region`, wherever they were called."""
LATE = timedelta(minutes=5)
"""How long after it happened an event is listed, unless it says otherwise."""
PLATFORM = "120.55.10.8"
"""From where the platform calls."""
READS = ("Describe", "List", "Get", "BatchGet", "Query", "Lookup", "Check", "Send", "Single", "Ivr")
AN_ID = re.compile(r"(?:i|d|s|m|sg|rm|lb|eni)-[a-z0-9]{6,40}")
TWICE_IN = 7
"""One event in so many stands on two pages, as happens while a shard is read twice."""


def add_trail_event(
    estate: Estate,
    *,
    action: str,
    at: datetime,
    service: str = "Ecs",
    who: str = "zhangwei",
    kind: str = "ram-user",
    key: str = "",
    ip: str = "203.0.113.20",
    resources: Mapping[str, Sequence[str]] | None = None,
    parameters: Json | None = None,
    answered: Json | None = None,
    error: str = "",
    request_id: str = "",
    late: timedelta = LATE,
    region: str = "cn-hangzhou",
    reads: bool = False,
) -> str:
    """Let somebody call an API; returns the event's id."""
    event_id = str(
        uuid.UUID(int=zlib.crc32(f"{service}{action}{at}{who}{resources}".encode()) << 64 | len(estate.trail))
    )
    identity: Json = {"type": kind, "principalId": f"{zlib.crc32(who.encode()):020}", "accountId": "1623400000000001"}
    if kind != "root-account":
        identity["userName"] = who
    if key:
        identity["accessKeyId"] = key
    else:
        identity["sessionContext"] = {"attributes": {"creationDate": seconds(at), "mfaAuthenticated": "false"}}
    event: Json = {
        "eventId": event_id,
        "eventVersion": "1",
        "eventName": action,
        "eventType": "ConsoleSignin" if action == "ConsoleSignin" else "ApiCall" if key else "ConsoleCall",
        "eventRW": "Read" if reads else "Write",
        "eventSource": f"{service.lower()}.{region}.aliyuncs.com",
        "eventTime": seconds(at),
        "serviceName": service,
        "acsRegion": region,
        "isGlobal": service in GLOBAL,
        "sourceIpAddress": ip,
        "userAgent": "AlibabaCloud API Workbench" if not key else "aliyun-cli/3.0",
        "requestId": request_id or str(uuid.UUID(int=zlib.crc32(event_id.encode()))).upper(),
        "userIdentity": identity,
        "requestParameters": parameters or {},
        "responseElements": answered or {},
        "referencedResources": {name: list(ids) for name, ids in (resources or {}).items()},
    }
    if error:
        event |= {"errorCode": error, "errorMessage": "You are not authorized to do this action."}
    kept_in = estate.global_region if service in GLOBAL else region
    estate.trail.append({"event": event, "at": at, "listed_at": at + late, "kept_in": kept_in})
    return event_id


def note(call: Call, service: str, action: str, *, request_id: str, answered: Json) -> None:
    """What was done through the API stands in the trail of its account, as everything that changes something does."""
    if action.startswith(READS):
        return
    touched = sorted({value for value in call.params.values() if AN_ID.fullmatch(value)})
    left_out = ("AccessKeyId", "Signature", "Timestamp", "Action", "Version", "Format")
    add_trail_event(
        call.estate,
        service=service,
        action=action,
        at=call.now,
        who=call.user.name,
        kind="root-account" if call.user.is_root else "ram-user",
        key=call.key.id,
        ip=PLATFORM,
        resources={"ACS::Resource": touched},
        parameters={name: value for name, value in call.params.items() if not name.startswith(left_out)},
        answered={name: value for name, value in answered.items() if isinstance(value, str | dict)},
        request_id=request_id,
        late=call.estate.work.listed_after,
        region=call.params.get("RegionId", "") or "cn-hangzhou",
    )


def lookup_events(call: Call) -> Json:
    """The events of one region. The real one has an address for each: this one is told by the region of the call."""
    start, end = (_moment(call, name) for name in ("StartTime", "EndTime"))
    if start > end:
        raise invalid("StartTime")
    if end - start > LONGEST:
        raise ApiError(400, "InvalidQueryParameter", "The specified time range is longer than 30 days.")
    if call.now - start > BACK + timedelta(hours=1):
        raise ApiError(400, "InvalidQueryParameter", "The specified StartTime is more than 90 days ago.")
    size = call.number("MaxResults", 20, top=50)
    wanted = {
        call.params[f"LookupAttribute.{at}.Key"]: call.params.get(f"LookupAttribute.{at}.Value", "")
        for at in range(1, 6)
        if f"LookupAttribute.{at}.Key" in call.params
    }
    if wanted.keys() - {"EventRW"}:
        raise invalid("LookupAttribute")
    listed = [
        row
        for row in sorted(call.estate.trail, key=lambda row: (_at(row, "at"), str(_event(row)["eventId"])))
        if _at(row, "listed_at") <= call.now and start <= _at(row, "at").replace(microsecond=0) <= end
        and wanted.get("EventRW", "All") in ("All", _event(row)["eventRW"])
        and row["kept_in"] == call.need("RegionId")
    ]  # fmt: skip
    if call.params.get("Direction", "BACKWARD") == "BACKWARD":
        listed.reverse()
    found = [_event(row) for row in listed for _ in range(1 + (_number(row) % TWICE_IN == 0))]
    begins = _offset(call.params.get("NextToken", ""), len(found))
    page = found[begins : begins + size]
    more = {"NextToken": f"t{begins + size}"} if begins + size < len(found) else {}
    return {"StartTime": seconds(start), "EndTime": seconds(end), "Events": page, **more}


def _event(row: Mapping[str, object]) -> Json:
    event = row["event"]
    assert isinstance(event, dict)  # noqa: S101 - narrows the type of what was added above
    return event


def _at(row: Mapping[str, object], name: str) -> datetime:
    moment = row[name]
    assert isinstance(moment, datetime)  # noqa: S101 - as above
    return moment


def _number(row: Mapping[str, object]) -> int:
    return zlib.crc32(str(_event(row)["eventId"]).encode())


def _offset(token: str, most: int) -> int:
    if not token:
        return 0
    if not token.startswith("t") or not token[1:].isdigit() or int(token[1:]) > most:
        raise ApiError(400, "InvalidParameterNextToken", "The specified NextToken is invalid.")
    return int(token[1:])


def _moment(call: Call, name: str) -> datetime:
    try:
        return datetime.strptime(call.need(name), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise invalid(name) from error


ACTIONS: Mapping[str, Callable[[Call], Json]] = {"LookupEvents": lookup_events}
