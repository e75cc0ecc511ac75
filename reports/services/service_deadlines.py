"""Until when a monthly report is owed: the end of the 9th (R109), a word from the 5th, an alarm from the 8th."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from incidents.months import Month
from reports.models import ReportKind, ServiceReport
from timers import services as timers

TASK: Final = "reports.service_deadline"
WARN_DAY, ALARM_DAY = 5, 8
MORNING: Final = timedelta(hours=9)
BY_HAND_DAYS: Final = 5


def due(month: Month) -> datetime:
    """The last moment before the 10th: "before the 10th" (附件 6)."""
    return month.freezes_at - timedelta(seconds=1)


def warn_at(month: Month) -> datetime:
    return month.ends_at.replace(day=WARN_DAY) + MORNING


def alarm_at(month: Month) -> datetime:
    return month.ends_at.replace(day=ALARM_DAY) + MORNING


def due_by_hand(asked_at: datetime) -> datetime:
    """A report that somebody asked for besides has no promise in the contract: a working week."""
    return asked_at + timedelta(days=BY_HAND_DAYS)


def arm(report: ServiceReport, now: datetime) -> None:
    """The three moments of a monthly report; of others only that they are due.

    Word and alarm of days that are over would only say what whoever opens it late knows already. Where the platform
    itself opens it late, nobody knows: the graver of the two that are over is said at once.
    """
    moments = {} if report.missed_at is not None else {"due": report.due_at}
    if report.kind == ReportKind.MONTHLY:
        ahead = {"warn": warn_at(report.month), "alarm": alarm_at(report.month)}
        over = [what for what, at in ahead.items() if at <= now]
        if over and report.trigger == ServiceReport.Trigger.PLAN and report.opened_at == now:
            moments[over[-1]] = now
        moments |= {what: at for what, at in ahead.items() if at > now}
    for what, at in moments.items():
        args: dict[str, int | str] = {"report_id": report.pk, "what": what}
        timers.set(key=f"{report.key}{what}", due_at=at, task=TASK, args=args, customer=report.customer_id)
