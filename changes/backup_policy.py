"""Backup policies (R156, R158): what was agreed, what the cloud has, and where the two differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EVERY_DAY: Final = frozenset(range(7))
_RDS_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHANGHAI_OFFSET: Final = 8
FOR_EVER: Final = -1
"""How ECS says that snapshots are never deleted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`days` count from Monday, 0, and `hour` is Beijing's; `log_backup` None: the product has no such thing.

    `also`: the further hours of one that backs up several times a day.
    """

    days: frozenset[int]
    hour: int
    keep_days: int
    log_backup: bool | None = None
    also: frozenset[int] = frozenset()

    @property
    def hours(self) -> frozenset[int]:
        return self.also | {self.hour}


class Difference(StrEnum):
    """Where the cloud is not as agreed. Keeping longer, or backing up more often, is no difference."""

    NONE_THERE = "none_there"
    DAYS = "days"
    HOUR = "hour"
    KEPT = "kept"
    LOG = "log"


def differences(agreed: Policy, there: Policy | None) -> tuple[Difference, ...]:
    if there is None:
        return (Difference.NONE_THERE,)
    found = []
    if not agreed.days <= there.days:
        found.append(Difference.DAYS)
    if agreed.hour not in there.hours:
        found.append(Difference.HOUR)
    if there.keep_days != FOR_EVER and there.keep_days < agreed.keep_days:
        found.append(Difference.KEPT)
    if agreed.log_backup and there.log_backup is False:
        found.append(Difference.LOG)
    return tuple(found)


def weakest(policies: Sequence[Policy]) -> Policy | None:
    """Of several disks what holds for all of them: the days and hours in common, the shortest keeping."""
    if not policies:
        return None
    days = frozenset.intersection(*(policy.days for policy in policies))
    hours = sorted(frozenset.intersection(*(policy.hours for policy in policies)))
    kept = [policy.keep_days for policy in policies if policy.keep_days != FOR_EVER]
    return Policy(days, hours[0] if hours else -1, min(kept, default=FOR_EVER), also=frozenset(hours[1:]))


def of_rds(said: Mapping[str, str]) -> Policy:
    """DescribeBackupPolicy: days by name, the window in UTC ("17:00Z-18:00Z"), the log as Enable or Disabled.

    A window that begins in the evening of UTC is the next day in Beijing.
    """
    utc = _hour(said.get("PreferredBackupTime", ""))
    shift = 1 if utc + SHANGHAI_OFFSET >= 24 else 0
    names = [name.strip() for name in said.get("PreferredBackupPeriod", "").split(",")]
    days = frozenset((_RDS_DAYS.index(name) + shift) % 7 for name in names if name in _RDS_DAYS)
    kept = said.get("BackupRetentionPeriod", "")
    log = said.get("BackupLog", "").lower().startswith("enable")
    return Policy(days, (utc + SHANGHAI_OFFSET) % 24, int(kept) if kept.isdecimal() else 0, log)


def of_ecs(said: Mapping[str, str]) -> Policy:
    """DescribeAutoSnapshotPolicyEx: weekdays and hours as JSON lists of texts, already in Beijing's time (UTC+8)."""
    days = frozenset((int(day) - 1) % 7 for day in _listed(said.get("RepeatWeekdays", "")))
    hours = sorted({int(hour) for hour in _listed(said.get("TimePoints", ""))})
    kept = said.get("RetentionDays", "")
    keep_days = int(kept) if kept.lstrip("-").isdecimal() else 0
    return Policy(days, hours[0] if hours else 0, keep_days, also=frozenset(hours[1:]))


def _listed(text: str) -> list[str]:
    return [part.strip(' "[]') for part in text.split(",") if part.strip(' "[]').isdecimal()]


def _hour(window: str) -> int:
    digits = window[:2]
    return int(digits) if digits.isdecimal() and int(digits) < 24 else 0
