"""How many messages a robot or a telephone number may still get, and which go now, alone or in a digest. Pure.

DingTalk and WeCom take 20 messages a minute and robot; DingTalk then refuses everything for ten minutes. We stop at
18: two spare for a test by hand or a colleague's script on the same robot. Alibaba Cloud counts calls and SMS by the
number that is called, whether or not anybody answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notify.states import URGENT_PRIORITY

PER_MINUTE = 18
WINDOW = timedelta(seconds=61)  # a second more than the provider's, whose clock is not ours
RESERVE = 6  # kept for Disaster and High


@dataclass(frozen=True)
class Limit:
    """At most `most` within `span`, counted by the provider; ours is a second longer, because its clock is not ours."""

    most: int
    span: timedelta

    @property
    def window(self) -> timedelta:
        return self.span + timedelta(seconds=1)


# https://help.aliyun.com/document_detail/149825.html: per called number, of one qualification and purpose.
CALLS = (Limit(1, timedelta(minutes=1)), Limit(5, timedelta(hours=1)), Limit(20, timedelta(hours=24)))
# https://help.aliyun.com/document_detail/44335.html: per number, signature and template of a notice.
TEXTS = (Limit(50, timedelta(hours=24)),)


def wait_for(limits: Sequence[Limit], before: Sequence[datetime], now: datetime) -> timedelta:
    """How long until a number may be tried again, after tries at the moments `before`; zero: now."""
    tries = sorted(before)
    free_at = now
    for limit in limits:
        if len(tries) >= limit.most:
            free_at = max(free_at, tries[-limit.most] + limit.window)
    return free_at - now


def longest(limits: Sequence[Limit]) -> timedelta:
    return max(limit.window for limit in limits)


@dataclass(frozen=True)
class Waiting:
    pk: int
    priority: int
    may_merge: bool = True


@dataclass(frozen=True)
class Plan:
    """`alone`: the next one to send as it is. `merge`: those to send as one digest now. Both empty: wait."""

    alone: int | None = None
    merge: tuple[int, ...] = ()


def plan(waiting: Sequence[Waiting], *, used: int, limit: int | None) -> Plan:
    """The next message of a robot that has sent `used` of its `limit` in the running minute.

    `waiting` in the order in which they should go. Urgent messages go alone while the budget lasts for all of them;
    the last place goes to a digest of those left over. The others must leave RESERVE places free; when they are more
    than fit, they go as one digest. None of them is dropped.
    """
    if not waiting:
        return Plan()
    if limit is None:
        return Plan(alone=waiting[0].pk)
    free = limit - used
    if free <= 0:
        return Plan()
    urgent = [entry for entry in waiting if entry.priority <= URGENT_PRIORITY]
    if urgent:
        return _next_of(urgent, free)
    return _next_of(waiting, free - RESERVE)


def _next_of(waiting: Sequence[Waiting], free: int) -> Plan:
    if free <= 0:
        return Plan()
    mergeable = [entry.pk for entry in waiting if entry.may_merge]
    if len(waiting) > free and len(mergeable) > 1 and (free == 1 or not _is_urgent(waiting[0])):
        return Plan(merge=tuple(mergeable))
    return Plan(alone=waiting[0].pk)


def _is_urgent(entry: Waiting) -> bool:
    return entry.priority <= URGENT_PRIORITY
