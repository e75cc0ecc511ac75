"""The audit trail of an account (ActionTrail, LookupEvents): page after page, read into one frozen shape.

Each region answers for itself. At most 2 calls a second (the limits name no region, so all of an account's count
together), 50 events a page, 30 days in one window, 90 days back; an event is listed some ten minutes after it happened.
Only what writes is asked for, and what is not a write is left out whatever the answer holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from assets.aliyun.resources import Row, parse_time, rows, text
from assets.aliyun.transport import Connection
from assets.origins import origin_of

BACK: Final = timedelta(days=90)
"""How far back events can be looked up (ActionTrail API reference, LookupEvents)."""
WINDOW: Final = timedelta(days=30)
"""The longest time range of one query (the same page)."""
GLOBAL_REGIONS: Final = ("cn-hangzhou", "ap-southeast-1")
"""Where what belongs to no region is kept: RAM users and keys, signing in. Singapore, or Hangzhou for an account that
asked for it (UpdateGlobalEventsStorageRegion). Asking which needs a permission that comes by ticket only: both are
read."""
PAGE: Final = 50
ACTION: Final = ("Actiontrail", "2020-07-06", "LookupEvents")
KEY_ID: Final = re.compile(r"^(?:LTAI|STS\.)[A-Za-z0-9]{8,60}$")
SECRET_NAME: Final = re.compile(r"password|passwd|secret|token|userdata|privatekey|credential", re.IGNORECASE)
HIDDEN: Final = "***"
LONGEST_TEXT: Final = 2000
MOST_ITEMS: Final = 2000
"""A call may add a hundred rules to a security group, each with some ten parameters of its own."""
MOST_RESOURCES: Final = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One event. `actor_type` is ActionTrail's word (root-account, ram-user, assumed-role, system …); `raw` is the
    event without anything that names itself a secret."""

    event_id: str
    occurred_at: datetime
    service: str
    action: str
    region: str
    actor_type: str
    actor_name: str
    access_key_id: str
    source_ip: str
    request_id: str
    error_code: str
    resources: tuple[str, ...]
    parameters: Mapping[str, str]
    key_ids: frozenset[str]
    raw: Mapping[str, object] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return origin_of(self.source_ip)


@dataclass(frozen=True, slots=True)
class Page:
    """One page; an empty `next_token` ends the window."""

    records: tuple[Record, ...]
    next_token: str


def page(  # one query, said in full
    client: Connection, region: str, start: datetime, end: datetime, *, token: str = "", newest_first: bool = False
) -> Page:
    """A page of a region's write events between two moments. Raises AliyunError."""
    wanted = {
        "StartTime": _second(start),
        "EndTime": _second(end),
        "MaxResults": str(PAGE),
        "Direction": "BACKWARD" if newest_first else "FORWARD",
        "LookupAttribute.1.Key": "EventRW",
        "LookupAttribute.1.Value": "Write",
    }
    if token:
        wanted["NextToken"] = token
    answer = client.call(*ACTION, wanted, region=region)
    records = [record for row in rows(answer, "Events") if (record := record_of(row)) is not None]
    return Page(tuple(records), text(answer, "NextToken"))


def record_of(row: Row) -> Record | None:
    """An event as it is stored or listed; None for what only reads, and for what has no id or moment."""
    clean = _clean(row)
    occurred_at = parse_time(text(clean, "eventTime"))
    event_id = text(clean, "eventId")
    if not event_id or occurred_at is None or text(clean, "eventRW").lower() not in ("write", ""):
        return None
    parameters = dict(_flat(clean.get("requestParameters"))) or dict(_flat(clean.get("requestParameterJson")))
    return Record(
        event_id=event_id[:128],
        occurred_at=occurred_at,
        service=text(clean, "serviceName")[:64] or text(clean, "eventSource").partition(".")[0][:64],
        action=text(clean, "eventName")[:128],
        region=text(clean, "acsRegion")[:40],
        actor_type=text(clean, "userIdentity", "type")[:32],
        actor_name=_actor(clean)[:200],
        access_key_id=text(clean, "userIdentity", "accessKeyId")[:80],
        source_ip=text(clean, "sourceIpAddress")[:64],
        request_id=text(clean, "requestId")[:80],
        error_code=text(clean, "errorCode")[:120],
        resources=_resources(clean),
        parameters=parameters,
        key_ids=frozenset(value for value in (*parameters.values(), *_answered(clean)) if KEY_ID.match(value)),
        raw=clean,
    )


def _second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _actor(row: Row) -> str:
    """Root has no name; a role comes as "role:session"."""
    name = text(row, "userIdentity", "userName")
    if name:
        return name
    principal = text(row, "userIdentity", "principalId")
    return "root" if text(row, "userIdentity", "type") == "root-account" else principal


def _resources(row: Row) -> tuple[str, ...]:
    """Ids of what was touched: "referencedResources" lists them by type, older events in one field."""
    found: list[str] = []
    referenced = row.get("referencedResources")
    if isinstance(referenced, Mapping):
        for names in referenced.values():
            found += [str(name) for name in names] if isinstance(names, Sequence) and not isinstance(names, str) else []
    found += [part.strip() for part in text(row, "resourceName").split(";")]
    return tuple(dict.fromkeys(name[:128] for name in found if name))[:MOST_RESOURCES]


def _answered(row: Row) -> Iterator[str]:
    answered = row.get("responseElements")
    return (value for _name, value in _flat(answered if isinstance(answered, Mapping) else {}))


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with its path, Permissions.0.SourceCidrIp, also where JSON stands in a text."""
    if isinstance(value, str):
        value = _parsed(value) or value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{at}" if name else str(at))
    elif value is not None and name:
        yield name, str(value)


def _parsed(content: str) -> dict[str, object] | list[object] | None:
    """What JSON in a text holds; None where it is none."""
    if not content.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # whoever acts chooses the texts
        return None
    return found if isinstance(found, dict | list) else None


def _clean(row: Row) -> dict[str, object]:
    found = _without_secrets(row)
    return found if isinstance(found, dict) else {}


def _without_secrets(value: object, depth: int = 0) -> object:
    """As it came, but nothing that names itself a secret, nothing endless, and nothing that PostgreSQL refuses."""
    if depth > 12:
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            _sound(str(key))[:200]: HIDDEN
            if SECRET_NAME.search(str(key)) and not isinstance(inner, Mapping | list) and inner not in ("", None)
            else _without_secrets(inner, depth + 1)
            for key, inner in list(value.items())[:MOST_ITEMS]
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner, depth + 1) for inner in value[:MOST_ITEMS]]
    if isinstance(value, str):
        inner = _parsed(value)  # JSON within JSON, as requestParameterJson has it: cut short it would be none any more
        kept = json.dumps(_without_secrets(inner, depth + 1), ensure_ascii=False) if inner else _sound(value)
        return kept if inner else kept[:LONGEST_TEXT]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _sound(value: str) -> str:
    """Without NUL and halves of characters."""
    return value.replace("\0", "").encode(errors="replace").decode()
