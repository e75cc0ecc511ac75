"""Service reports: opened by the plan or by hand, their figures read by a worker, their deadlines. Life: `writing`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from celery import current_app
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, Severity, User
from incidents.locks import hold_customer
from incidents.models import Incident, IncidentKind
from incidents.months import Month
from incidents.services import opening
from notify import live
from reports import blocks, messages
from reports.blocks import Part
from reports.kinds import comparing
from reports.kinds.asking import Asked
from reports.kinds.registry import KINDS
from reports.models import MadeState, ReportKind, ReportPlan, ServiceFigures, ServicePart, ServiceReport
from reports.models.service import ACCENT
from reports.services import leases, reaching, service_deadlines, writing
from reports.states import State, Verb

log = logging.getLogger(__name__)
Trigger = ServiceReport.Trigger
LOOKED_BACK: Final = 3
"""Months."""


def plan_of(customer: Customer) -> ReportPlan:
    """The customer's, or the usual one, unsaved."""
    found = ReportPlan.objects.filter(customer=customer).first()
    return found or ReportPlan(customer=customer)


def owed_months(*, now: datetime) -> list[tuple[Customer, Month]]:
    """Customers with a month that wants its report by now and has none, the oldest first. Needs a platform scope.

    Usually the last one; those before it where the platform stood still when their day came. Of a month that was over
    before a customer came here it knows nothing, and what a plan says now was not said of the months before it.
    """
    this = Month.of(timezone.localdate(now))
    months = [this.shifted(-back) for back in range(LOOKED_BACK, 0, -1)]
    plans = {plan.customer_id: plan for plan in ReportPlan.objects.all()}
    rows = ServiceReport.objects.monthly().filter(period__in=[str(month) for month in months])
    there = set(rows.values_list("customer_id", "period"))
    customers = list(Customer.objects.all())
    return [
        (customer, month)
        for month in months
        for customer in customers
        if (customer.pk, str(month)) not in there
        and _is_its_day_over(plans.get(customer.pk) or ReportPlan(customer=customer), month, this, now)
        and is_wanted(customer, plans.get(customer.pk) or ReportPlan(customer=customer), month)
    ]


def _is_its_day_over(plan: ReportPlan, month: Month, this: Month, now: datetime) -> bool:
    begins = month.ends_at.replace(day=plan.day, hour=plan.hour)
    is_last = month == this.shifted(-1)
    return begins <= now and (is_last or plan.changed_at is None or plan.changed_at <= begins)


def is_wanted(customer: Customer, plan: ReportPlan, month: Month) -> bool:
    """Whether the plan asks for the report of a month, whenever that is."""
    if not plan.is_on or customer.status == Customer.Status.ONBOARDING or customer.created_at >= month.ends_at:
        return False
    return served(customer, month.starts_at, month.ends_at) is not None


def served(customer: Customer, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
    """The part of a stretch in which a contract ran; None where none did."""
    starts, ends = [], []
    for contract in Contract.objects.filter(customer=customer):
        first = timezone.make_aware(datetime.combine(contract.starts_on, datetime.min.time()))
        last = timezone.make_aware(datetime.combine(contract.ends_on + timedelta(days=1), datetime.min.time()))
        if first < end and last > start:
            starts.append(max(first, start))
            ends.append(min(last, end))
    return (min(starts), max(ends)) if starts else None


@transaction.atomic
def open_by_plan(*, customer: Customer, month: Month, now: datetime) -> ServiceReport | None:
    """The monthly report of a customer; None when somebody was faster, or nothing was owed."""
    hold_customer(customer)
    if ServiceReport.objects.monthly().filter(customer=customer, period=str(month)).exists():
        return None
    if served(customer, month.starts_at, month.ends_at) is None:
        return None
    return _open(customer, ReportKind.MONTHLY, month, Trigger.PLAN, actor=None, now=now)


@transaction.atomic
def open_by_hand(
    *,
    customer: Customer,
    kind: ReportKind,
    month: Month,
    actor: User,
    now: datetime,
    wishes: Mapping[str, Any] | None = None,
    subject: str = "",
) -> ServiceReport:
    """One that somebody asks for; a monthly one that is there already is returned as it is."""
    if not actor.is_provider:
        raise PermissionDenied
    hold_customer(customer)
    if kind == ReportKind.MONTHLY:
        known = ServiceReport.objects.monthly().filter(customer=customer, period=str(month)).first()
        if known is not None:
            return known
        wishes = None  # the month is about everything
    if month.starts_at >= now:
        raise DomainError(_("That month has not begun."), code="future")
    if kind == ReportKind.MONTHLY and month.ends_at > now:
        raise DomainError(
            _("That month is not over: its monthly report can be opened from the first of the next."), code="not_over"
        )
    if served(customer, month.starts_at, month.ends_at) is None:
        raise DomainError(_("No contract of this customer ran in that month."), code="not_served")
    return _open(customer, kind, month, Trigger.BY_HAND, actor=actor, now=now, wishes=wishes, subject=subject)


@transaction.atomic
def read_again(*, report: ServiceReport, actor: User, now: datetime) -> ServiceFigures:
    """Read the figures anew, while the report may still be edited."""
    report = writing.hold(report)
    writing.allowed(Verb.EDIT, report, actor)
    reading = ServiceFigures.objects.select_for_update().get(report=report)
    if reading.is_open:
        raise DomainError(_("The figures are being read already."), code="being_read")
    reading.state, reading.tries, reading.error, reading.progress = MadeState.WAITING, 0, "", 0
    reading.asked_by, reading.asked_at = actor, now
    reading.save()
    audit.record(action="service.read_again", actor=actor, customer=report.customer, obj=report, now=now)
    transaction.on_commit(partial(_ask_to_read, reading.pk), robust=True)
    return reading


def read_figures(*, reading_id: int, clock: Callable[[], datetime] = timezone.now) -> bool:
    """Read all parts of a report and put them in place at once. False when somebody else has it, or it failed.

    A worker that dies leaves the report as it was. Needs a platform scope.
    """
    rows = ServiceFigures.objects.select_related("report", "report__customer")
    reading: ServiceFigures | None = leases.claim(rows, reading_id, clock())
    if reading is None:
        return False
    try:
        with scope.customer(reading.customer_id):
            return _settle(reading, _read(reading, clock()), clock())
    except Exception as problem:
        log.exception("the figures of report %s cannot be read", reading.report_id)
        leases.give_up_or_try_again(reading, problem)
        return False


def _read(reading: ServiceFigures, now: datetime) -> list[Part]:
    report = reading.report
    asked = Asked(report.customer, report.month, report.starts_at, report.ends_at, now, report.wishes)
    names = [one["name"] for one in report.layout["parts"]]
    by_name = {part.name: part for part in KINDS[report.kind]}
    parts = []
    with translation.override(report.language), timezone.override(timezone.get_default_timezone()):
        for number, name in enumerate(names):
            if name in by_name:
                parts.append(by_name[name].read(asked))
            percent = 5 + 90 * (number + 1) // len(names)
            leases.show(reading, percent, until=timezone.now() + leases.LEASE)
        return comparing.told(blocks.compared(parts, _before(report)))


def _before(report: ServiceReport) -> list[Part]:
    """The parts of the same report of the month before, as they were issued or else stand: of the newest one that was
    asked about the same and not withdrawn."""
    rows = ServiceReport.objects.filter(customer=report.customer, kind=report.kind, subject=report.subject)
    rows = rows.filter(period=str(report.month.shifted(-1))).exclude(state=State.WITHDRAWN).order_by("-pk")
    wished = _wished(report)
    earlier = next((one for one in rows if _wished(one) == wished), None)
    if earlier is None:
        return []
    issue = earlier.issues.order_by("-number").first()
    kept = issue.content["parts"] if issue is not None else earlier.figures.get("parts", [])
    return blocks.read([{key: value for key, value in part.items() if key != "text"} for part in kept])


def _wished(report: ServiceReport) -> dict[str, Any]:
    """What a report was asked about, in whatever order somebody named it."""
    return {name: sorted(set(one)) if isinstance(one, list) else one for name, one in report.wishes.items()}


@transaction.atomic
def _settle(reading: ServiceFigures, parts: list[Part], now: datetime) -> bool:
    report = writing.hold(reading.report)
    mine = ServiceFigures.objects.select_for_update().get(pk=reading.pk)
    if not leases.is_mine(mine, reading):
        return False
    if report.stage is State.DRAFT:
        report.figures, report.figures_at = {"parts": blocks.written(parts)}, now
        writing.follow_facts(report, now)
        writing.touch(report, now)
        audit.record(action="service.figures", actor=mine.asked_by, customer=report.customer, obj=report, now=now)
    mine.state, mine.progress, mine.leased_until, mine.error, mine.made_at = MadeState.READY, 100, None, "", now
    mine.save()
    if mine.asked_by is None and report.trigger == Trigger.PLAN:
        messages.drafted(report, now=now)
    live.publish(customer_id=report.customer_id, topic="reports", object_id=report.pk)
    return True


@transaction.atomic
def meet_deadline(*, report_id: int, what: str, now: datetime) -> bool:
    """A word from the 5th, an internal incident from the 8th, and on the 10th it was late. False: not owed any more."""
    found = ServiceReport.objects.filter(pk=report_id).first()
    report = None if found is None else writing.hold(found)
    if report is None or not reaching.is_owed(report):
        return False
    if what == "due":
        return writing.miss(report, now=now)
    if what == "warn":
        messages.due_soon(report, now=now)
        return True
    if report.alarmed_at is None:
        report.alarmed_at, report.alarm = now, _alarm(report, now)
        report.save(update_fields=["alarmed_at", "alarm"])
    return True


def _alarm(report: ServiceReport, now: datetime) -> Incident:
    with translation.override(report.customer.language):
        title = _("%(what)s; it is due on the 9th") % {"what": reaching.words(report)}
    return opening.open_by_platform(
        customer=report.customer,
        kind=IncidentKind.INTERNAL,
        title=title,
        description="",
        severity=Severity.HIGH,
        detected_at=now,
        now=now,
    )


def _open(
    customer: Customer,
    kind: str,
    month: Month,
    trigger: str,
    *,
    actor: User | None,
    now: datetime,
    wishes: Mapping[str, Any] | None = None,
    subject: str = "",
) -> ServiceReport:
    span = served(customer, month.starts_at, month.ends_at)
    assert span is not None  # noqa: S101 - callers have asked
    plan = plan_of(customer)
    language = plan.language or customer.language
    is_promised = kind == ReportKind.MONTHLY and customer.created_at < month.ends_at
    report = ServiceReport(
        customer=customer,
        kind=kind,
        trigger=trigger,
        period=str(month),
        starts_at=span[0],
        ends_at=span[1],
        subject=subject,
        wishes=dict(wishes or {}),
        language=language,
        author=actor,
        opened_by=actor,
        opened_at=now,
        changed_at=now,
        due_at=service_deadlines.due(month) if is_promised else service_deadlines.due_by_hand(now),
        layout={"parts": layout(kind, plan, language), "accent": plan.accent or ACCENT, "logo": plan.logo},
    )
    report.save(force_insert=True)
    ServicePart.objects.bulk_create(
        ServicePart(
            customer=customer,
            report=report,
            name=one["name"],
            title=one["title"],
            place=place,
            text=one.get("text", ""),
            facts=one.get("text", ""),
        )
        for place, one in enumerate(report.layout["parts"])
    )
    reading = ServiceFigures.objects.create(customer=customer, report=report, asked_by=actor, asked_at=now)
    service_deadlines.arm(report, now)
    detail = {"kind": kind, "period": str(month), "trigger": trigger, "due_at": report.due_at.isoformat()}
    audit.record(action="service.open", actor=actor, customer=customer, obj=report, detail=detail, now=now)
    transaction.on_commit(partial(_ask_to_read, reading.pk), robust=True)
    live.publish(customer_id=customer.pk, topic="reports", object_id=report.pk)
    return report


def layout(kind: str, plan: ReportPlan, language: str) -> list[dict[str, str]]:
    """The parts in the customer's order: those of the kind, each once, and for the month its further sections."""
    with translation.override(language):
        titles = {part.name: str(part.title) for part in KINDS[kind]}
    if kind != ReportKind.MONTHLY:
        return [{"name": name, "title": title} for name, title in titles.items()]
    further = {f"section-{number}": one for number, one in enumerate(plan.sections, 1)}
    every = [*titles, *further]
    order = [name for name in plan.order if name in every]
    order += [name for name in every if name not in order]
    return [
        {"name": name, "title": titles[name]}
        if name in titles
        else {"name": name, "title": further[name]["title"], "text": further[name].get("text", "")}
        for name in order
    ]


def _ask_to_read(reading_id: int) -> None:
    current_app.send_task("reports.read_figures", args=[reading_id], queue="reports", retry=False)
