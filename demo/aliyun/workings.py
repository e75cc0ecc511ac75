"""What the simulated cloud keeps beside its lists of resources, and what comes about over time in one account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

Json = dict[str, object]


def _nightly() -> list[Json]:
    """The snapshot policy that every disk has at first: each night at two in Beijing, for a week."""
    return [
        {
            "AutoSnapshotPolicyId": "sp-bp1nightly0000000001",
            "AutoSnapshotPolicyName": "nightly",
            "RepeatWeekdays": '["1", "2", "3", "4", "5", "6", "7"]',
            "TimePoints": '["2"]',
            "RetentionDays": 7,
            "DiskNums": 1,
            "Status": "Normal",
        }
    ]


@dataclass
class Bills:
    """What a test does to the bills of an account."""

    factors: dict[tuple[date, str], float] = field(default_factory=dict)
    """By day and resource: something that happened, or a correction."""
    extra: dict[date, list[Json]] = field(default_factory=dict)
    repeats: int = 0
    """So many next first pages bring their last row once more on the page after."""
    loses: int = 0
    """So many next answers of several pages leave out the first row of the second page."""


@dataclass
class Workings:
    """What was asked for is done after `takes`. `tokens` holds what each client token was said with, and answered."""

    takes: timedelta = timedelta(seconds=6)
    listed_after: timedelta = timedelta(minutes=5)
    """How late the trail lists what was done through the API."""
    disks: list[Json] = field(default_factory=list)
    sold_out: set[str] = field(default_factory=set)
    """Instance types of which no zone has any left."""
    policies: list[Json] = field(default_factory=_nightly)
    backup_policies: dict[str, Json] = field(default_factory=dict)
    snapshots: list[Json] = field(default_factory=list)
    images: list[Json] = field(default_factory=list)
    rules: dict[str, list[Json]] = field(default_factory=dict)
    backends: dict[str, list[Json]] = field(default_factory=dict)
    server_groups: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By balancer its virtual server groups, each with its servers."""
    records: dict[str, list[Json]] = field(default_factory=dict)
    backups: list[Json] = field(default_factory=list)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    slow_sql: dict[str, list[Json]] = field(default_factory=dict)
    """By instance what a test says was slow; the others have what every shop has."""
    tokens: dict[tuple[str, str], tuple[dict[str, str], Json]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _pending: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)

    def after(self, now: datetime, act: Callable[[], None]) -> datetime:
        """Have it done when its time has come; returns when."""
        at = now + self.takes
        self._pending.append((at, act))
        return at

    def settle(self, now: datetime) -> None:
        """Do what has come due."""
        due = [one for one in self._pending if one[0] <= now]
        self._pending = [one for one in self._pending if one[0] > now]
        for _, act in sorted(due, key=lambda one: one[0]):
            act()
