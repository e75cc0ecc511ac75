"""Alerts that come and go: told once as flapping, then ever less often, until they have been quiet. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Policy:
    """`changes` in `window` is flapping; `quiet` without one is the end of it. Reminders come after `first`, then each
    time `factor` times later, at most `longest` apart."""

    changes: int = 6
    window: timedelta = timedelta(hours=1)
    quiet: timedelta = timedelta(minutes=30)
    first: timedelta = timedelta(hours=1)
    factor: float = 2.0
    longest: timedelta = timedelta(hours=12)


DEFAULT: Final = Policy()


def is_flapping(changes: Iterable[datetime], at: datetime, policy: Policy = DEFAULT) -> bool:
    """Whether the changes between good and bad, the one at `at` included, are too many. Later ones do not count."""
    return sum(at - policy.window < change <= at for change in changes) >= policy.changes


def quiet_at(last_change: datetime, policy: Policy = DEFAULT) -> datetime:
    """When it will have been quiet for long enough, if nothing changes any more."""
    return last_change + policy.quiet


def reminder_at(since: datetime, sent: int, policy: Policy = DEFAULT) -> datetime:
    """When the next reminder is due after `sent` of them: 1 h, 3 h, 7 h … after the beginning."""
    at, step = since, policy.first
    for _ in range(sent + 1):
        at += step
        step = min(policy.longest, step * policy.factor)
    return at
