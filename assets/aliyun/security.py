"""What Security Center (Sas) knows of the servers of an account: vulnerabilities, and what it found suspicious.

DescribeVulList lists one kind at a time, 100 a page; DescribeSuspEvents what began between two moments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from assets.aliyun.paging import counted
from assets.aliyun.resources import Row, number, text
from assets.aliyun.transport import AliyunError, Connection

KINDS: Final = ("cve", "sys", "cms", "app", "emg")
"""Linux, Windows, web content systems, applications, emergencies."""
VULNERABILITIES: Final = ("Sas", "2018-12-03", "DescribeVulList")
EVENTS: Final = ("Sas", "2018-12-03", "DescribeSuspEvents")
OPEN: Final = frozenset({1, 2, 3, 4, 5, 6, 9})
"""Not fixed, a fix or its taking back that failed or is under way, a fix that was taken back."""
SETTLED_EVENTS: Final = frozenset({2, 4, 8, 32, 64, 128, 513})
"""Ignored, confirmed, a false alarm, handled, lapsed, deleted, blocked by itself. Open are 1 (waits for somebody), 16
(somebody is at it) and 512 (is being blocked)."""
ZONE: Final = ZoneInfo("Asia/Shanghai")
"""The wall clock by which Security Center is asked."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One on one server. `need` is Security Center's word for how soon: asap, later or nntf (not now)."""

    kind: str
    name: str
    title: str
    need: str
    status: int
    instance_id: str
    instance_name: str
    found_at: datetime | None
    fixed_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something that Security Center holds for an attack. `level` is serious, suspicious or remind."""

    event_id: str
    name: str
    kind: str
    level: str
    status: int
    instance_id: str
    instance_name: str
    occurred_at: datetime
    text: str = ""
    """What Security Center says of it, in the language that was asked for."""

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED_EVENTS


def vulnerabilities(client: Connection, *, language: str = "zh") -> tuple[Vulnerability, ...]:
    """Those that are open, and those that were dealt with as far as they are still kept. Raises AliyunError rather than
    return less."""
    return tuple(
        _vulnerability(kind, row)
        for kind in KINDS
        for dealt in ("n", "y")
        for row in _all(client, VULNERABILITIES, {"Type": kind, "Dealed": dealt, "Lang": language}, "VulRecords")
    )


def suspicions(
    client: Connection, start: datetime, end: datetime, *, language: str = "zh", is_settled: bool | None = None
) -> tuple[Suspicion, ...]:
    """Those that occurred from start to end, half open, newest first; only those that are settled, or only those that
    are not. Raises AliyunError rather than return less."""
    wanted = {"TimeStart": _wall(start), "TimeEnd": _wall(end), "Lang": language}
    if is_settled is not None:
        wanted["Dealed"] = "Y" if is_settled else "N"
    found = map(_suspicion, _all(client, EVENTS, wanted, "SuspEvents"))
    return tuple(one for one in found if start <= one.occurred_at < end)


def _all(client: Connection, action: tuple[str, str, str], params: Mapping[str, str], name: str) -> Iterator[Row]:
    return counted(client, action, params, path=(name,), page="CurrentPage")


def _vulnerability(kind: str, row: Row) -> Vulnerability:
    return Vulnerability(
        kind=kind,
        name=text(row, "Name")[:200],
        title=(text(row, "AliasName") or text(row, "Name"))[:200],
        need=text(row, "Necessity").lower(),
        status=number(row, "Status") or 0,
        instance_id=text(row, "InstanceId")[:128],
        instance_name=text(row, "InstanceName")[:128],
        found_at=_moment(row, "FirstTs"),
        fixed_at=_moment(row, "RepairTs"),
    )


def _suspicion(row: Row) -> Suspicion:
    occurred_at = _moment(row, "OccurrenceTimeStamp")
    if occurred_at is None:
        raise AliyunError("InvalidResponse", "DescribeSuspEvents listed an event without its time.")
    event_id = text(row, "Id") or text(row, "UniqueInfo")
    if not event_id:
        raise AliyunError("InvalidResponse", "DescribeSuspEvents listed an event without its ID.")
    return Suspicion(
        event_id=event_id,
        name=(text(row, "AlarmEventNameDisplay") or text(row, "AlarmEventName"))[:200],
        kind=(text(row, "AlarmEventTypeDisplay") or text(row, "AlarmEventType"))[:120],
        level=text(row, "Level").lower(),
        status=number(row, "EventStatus") or 0,
        instance_id=text(row, "InstanceId")[:128],
        instance_name=text(row, "InstanceName")[:128],
        occurred_at=occurred_at,
        text=text(row, "Desc")[:1000],
    )


def _moment(row: Row, name: str) -> datetime | None:
    """Milliseconds since 1970; 0 is none."""
    millis = number(row, name)
    return datetime.fromtimestamp(millis / 1000, UTC) if millis else None


def _wall(moment: datetime) -> str:
    return f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
