"""What became of the contract's promises, month by month: counted in the rows of every app, some queries for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import (
    Avg,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models import Count as Counted
from django.db.models.functions import Greatest, TruncDate, TruncMonth
from django.utils import timezone
from django.utils.functional import Promise as Lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from accounts import scope
from accounts.models import Contract, Customer, Severity
from assets.facts import QUOTA_DATABASES
from assets.hosting import HOSTS
from assets.models import Asset, CloudAccount, Kind
from bastion.models import BastionSession, DirectLogin
from changes.models import (
    BackupPolicy,
    BackupRecord,
    Change,
    ChangeAsset,
    ChangeState,
    DutyKind,
    DutyOccurrence,
    TrailEvent,
    TrailReading,
    TrailVerdict,
)
from changes.words import said
from incidents import sla
from incidents.interruptions import Interruption
from incidents.models import Clock, EscalationStep, Incident, IncidentKind, ResponderNotice
from incidents.months import ZONE, Month
from incidents.policy import Policy, calendar_at
from incidents.services import interruptions
from monitoring.models import Event
from reports import figures
from reports.blocks import Cell, Column, Source, Table
from reports.kinds.asking import Asked
from reports.models import AccidentIssue, AccidentReport, ReportPlan, ServiceIssue, ServiceRecipient, ServiceReport
from reports.models.written import HAS_NOTHING
from reports.parts import ORDER
from reports.promises import NOTHING, UNSEEN, Count, Promise, Verdict, catalogue, together
from reports.services import service_deadlines
from reports.states import State

MONTHS: Final = 12
STEP_GRACE: Final = timedelta(minutes=5)
"""A step of escalation that is so much past its time and not done did not come."""
OUTAGE: Final = timedelta(minutes=30)
OPENING: Final = timedelta(minutes=5)
"""Within which a crossed half hour has its accident report."""
SIX: Final = ("overview", "incidents", "security", "web", "hosts", "databases")
NEVER: Final = Q(pk__in=())
_MOMENT: Final = DateTimeField()
TRAIL_LAG: Final = timedelta(hours=1)
"""Events are listed some minutes after they happened, and read after that."""
LOGINS_LAG: Final = timedelta(hours=1)
"""Servers are asked for their log-ins every half hour."""
LABELS: Final[Mapping[Verdict, str | Lazy]] = {
    Verdict.KEPT: pgettext_lazy("promise", "Kept"),
    Verdict.BROKEN: pgettext_lazy("promise", "Broken"),
    Verdict.NOT_ASKED: pgettext_lazy("promise", "Nothing due"),
    Verdict.UNKNOWN: gettext_lazy("Not known"),
}
Counts = dict[tuple[int, Month], Count]
"""By customer and month; what is not there: nothing fell due."""


@dataclass(frozen=True)
class Span:
    """Customers, and months that follow each other."""

    customers: tuple[Customer, ...]
    months: tuple[Month, ...]
    now: datetime

    @property
    def starts_at(self) -> datetime:
        return self.months[0].starts_at

    @property
    def ends_at(self) -> datetime:
        return self.months[-1].ends_at

    @cached_property
    def contracts(self) -> dict[int, list[Contract]]:
        found: dict[int, list[Contract]] = {}
        for contract in Contract.objects.filter(customer__in=self.ids):
            found.setdefault(contract.customer_id, []).append(contract)
        return found

    @cached_property
    def ids(self) -> list[int]:
        return [customer.pk for customer in self.customers]

    def cells(self) -> Iterator[tuple[Customer, Month]]:
        return ((customer, month) for customer in self.customers for month in self.months)

    def contract_of(self, customer: Customer, month: Month) -> Contract | None:
        """The one in force on a day of the month."""
        first, last = month.starts_at.date(), (month.ends_at - timedelta(days=1)).date()
        there = self.contracts.get(customer.pk, [])
        return next((one for one in there if one.starts_on <= last and one.ends_on >= first), None)

    def within(self, rows: QuerySet[Any], field: str) -> QuerySet[Any]:
        stretch = {f"{field}__gte": self.starts_at, f"{field}__lt": self.ends_at}
        return rows.filter(customer__in=self.ids, **stretch)


Reader = Callable[[Span], Counts]


def read(customers: Iterable[Customer], months: Iterable[Month], *, now: datetime) -> dict[str, Counts]:
    """By promise. Whoever asks sees to it that the customers are in reach: the rows behind are the provider's too."""
    span = Span(tuple(customers), tuple(months), now)
    with scope.entered(scope.Scope(frozenset(span.ids), "promises kept")):
        return {promise.code: READERS[promise.code](span) for promise in catalogue()}


def block(asked: Asked) -> Table:
    """The month's state of every promise, for the report."""
    found = read([asked.customer], [asked.month], now=asked.now)
    key = (asked.customer.pk, asked.month)
    rows = tuple(_row(promise, found[promise.code].get(key, NOTHING)) for promise in catalogue())
    columns = (
        Column(_("Promise")), Column(_("Clause")), Column(_("State")),
        Column(pgettext("promise", "Due"), "number"), Column(pgettext("promise", "Kept"), "number"),
        Column(pgettext("promise", "Broken"), "number"), Column(_("Mean"), "length"), Column(_("Longest"), "length"),
    )  # fmt: skip
    source = Source(
        _("Counted in the month in which it fell due; what is open is not judged yet."),
        "reports.promises",
        f"/reports/promises/{asked.customer.pk}/?month={asked.month}",
    )
    paths = tuple(promise.evidence(asked.customer.pk, str(asked.month)) for promise in catalogue())
    return Table("promises_kept", _("Promises of the contract"), columns, rows, source, paths=paths)


def _row(promise: Promise, count: Count) -> tuple[Cell, ...]:
    state = str(LABELS[count.verdict])
    return (
        said(promise.words), said(promise.clause), state, count.owed, count.kept, count.broken,
        count.mean_s, count.longest_s,
    )  # fmt: skip


# --- counting --------------------------------------------------------------------------------------------------------


def _by_month(
    span: Span,
    rows: QuerySet[Any],
    field: str,
    *,
    broken: Q | Exists = NEVER,
    still_open: Q = NEVER,
    zone: ZoneInfo | None = ZONE,
    took: str = "",
) -> Counts:
    """Rows by the month of a moment, or without a zone of a day, in one query. `took`: the field with their seconds."""
    grouped = span.within(rows, field).annotate(month=TruncMonth(field, tzinfo=zone)).order_by()
    times = {"mean_s": Avg(took), "longest_s": Max(took)} if took else {}
    counted = grouped.values("customer_id", "month").annotate(
        owed=Counted("pk", distinct=True),
        broken=Counted("pk", filter=broken, distinct=True),
        open=Counted("pk", filter=still_open, distinct=True),
        **times,
    )
    return {
        (row["customer_id"], Month.of(row["month"])): Count(
            row["owed"], row["broken"], row["open"], *(_seconds(row[name]) for name in times)
        )
        for row in counted
    }


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _due(span: Span, rows: QuerySet[Any], due: str, done: str) -> Counts:
    """What was to be done by a moment."""
    late = Q(**{f"{done}__gt": F(due)}) | Q(**{done: None, f"{due}__lt": span.now})
    return _by_month(span, rows, due, broken=late, still_open=Q(**{done: None, f"{due}__gte": span.now}))


# --- incidents -------------------------------------------------------------------------------------------------------


def _clocks(span: Span, kind: Clock.Kind, took: str = "", **of: Any) -> Counts:
    """Clocks by the month in which they started."""
    rows = Clock.objects.filter(kind=kind, incident__parent=None, incident__duplicate_of=None, **of)
    late, still_open = Q(breached_at__isnull=False), Q(stopped_at=None, breached_at=None)
    return _by_month(span, rows, "started_at", broken=late, still_open=still_open, took=took)


def _limited(span: Span, kind: Clock.Kind, **of: Any) -> Counts:
    """Those that have a limit."""
    return _clocks(span, kind, target_minutes__isnull=False, **of)


def _of_severity(severity: Severity) -> Reader:
    kind, of = Clock.Kind.RESPONSE, IncidentKind.INCIDENT
    return lambda span: _limited(span, kind, incident__kind=of, incident__severity=severity)


def _handling(severity: Severity) -> Reader:
    """In the hours of the severity, without pauses. Where no limit is agreed, until it is solved (table 1)."""
    kind, of = Clock.Kind.HANDLING, IncidentKind.INCIDENT
    return lambda span: _clocks(span, kind, took="elapsed_seconds", incident__kind=of, incident__severity=severity)


def _restored(severity: Severity) -> Reader:
    """How long it was out, as accident reports count it; the contract's limit for handling holds where there is one."""

    def counted(span: Span) -> Counts:
        rows = Incident.objects.filter(
            kind=IncidentKind.INCIDENT, severity=severity, parent=None, duplicate_of=None
        ).prefetch_related("alerts")
        outages: dict[tuple[int, Month], list[tuple[Incident, Interruption]]] = {}
        for incident in span.within(rows, "opened_at"):
            outage = interruptions.of(incident, now=span.now)
            if outage is not None:
                month = Month.of(timezone.localtime(incident.opened_at, ZONE))
                outages.setdefault((incident.customer_id, month), []).append((incident, outage))
        return {key: _of_outages(found, span.now) for key, found in outages.items()}

    return counted


def _of_outages(found: Sequence[tuple[Incident, Interruption]], now: datetime) -> Count:
    broken, still_open, took = 0, 0, []
    for incident, outage in found:
        policy = Policy.from_json(incident.policy)
        end = outage.ended_at or now
        limit = policy.handling_minutes
        counted = sla.elapsed(outage.started_at, end, calendar_at(policy.calendar_version_id))
        is_late = limit is not None and counted > timedelta(minutes=limit)
        broken += is_late
        if outage.ended_at is not None:
            took.append(outage.length(now).total_seconds())
        elif not is_late:
            still_open += 1
    return Count(len(found), broken, still_open, figures.mean(took), max(took, default=None))


def _raised(span: Span) -> Counts:
    kinds = (IncidentKind.INCIDENT, IncidentKind.REQUEST)
    rows = Clock.objects.exclude(incident__source=Incident.Source.MONITORING)
    return _limited(span, Clock.Kind.RESPONSE, incident__kind__in=kinds, pk__in=rows.values("pk"))


def _escalation(span: Span) -> Counts:
    rows = EscalationStep.objects.exclude(state=EscalationStep.State.CANCELLED)
    rows = rows.exclude(incident__kind=IncidentKind.INTERNAL)
    pending, late = Q(state=EscalationStep.State.PENDING), span.now - STEP_GRACE
    broken = Q(state=EscalationStep.State.DONE, is_late=True) | pending & Q(due_at__lt=late)
    return _by_month(span, rows, "due_at", broken=broken, still_open=pending & Q(due_at__gte=late))


# --- reports ---------------------------------------------------------------------------------------------------------


def _monthly_report(span: Span) -> Counts:
    """In each month the report about the one before is due, whether or not somebody has begun it."""
    periods = [str(month.shifted(-1)) for month in span.months]
    rows = ServiceReport.objects.monthly().filter(customer__in=span.ids, period__in=periods).defer("figures")
    written = {(row.customer_id, row.period): row for row in rows}
    nobody = _with_nobody([report.pk for report in written.values()])
    off = set(ReportPlan.objects.filter(customer__in=span.ids, is_on=False).values_list("customer_id", flat=True))
    found: Counts = {}
    for customer, month in span.cells():
        about = month.shifted(-1)
        report = written.get((customer.pk, str(about)))
        if report is None:
            is_owed = span.contract_of(customer, about) is not None and customer.created_at < about.ends_at
            if not is_owed or customer.pk in off or customer.status == Customer.Status.ONBOARDING:
                continue
        elif report.state == State.WITHDRAWN:
            continue
        due_at = service_deadlines.due(about) if report is None else report.due_at
        sent_at = None if report is None or report.pk in nobody else report.sent_at
        is_late = (sent_at or span.now) > due_at
        found[customer.pk, month] = Count(1, broken=int(is_late), open=int(not is_late and sent_at is None))
    return found


def _with_nobody(reports: Sequence[int]) -> set[int]:
    """Those that were sent, and of which every mail was lost."""
    given = ServiceRecipient.objects.filter(issue__report__in=reports)
    has_it = given.exclude(HAS_NOTHING).values_list("issue__report", flat=True)
    return set(given.values_list("issue__report", flat=True)) - set(has_it)


def _parts(span: Span) -> Counts:
    six, five = [{"name": name} for name in SIX], [part.value for part in ORDER]
    monthly = ServiceIssue.objects.filter(report__in=ServiceReport.objects.monthly().values("pk"))
    counted = (
        _by_month(span, monthly, "signed_at", broken=~Q(content__parts__contains=six)),
        _by_month(span, AccidentIssue.objects.all(), "signed_at", broken=~Q(content__parts__has_keys=five)),
    )
    return _joined(counted)


def _accident_opened(span: Span) -> Counts:
    """From the half hour, or from when we heard of it."""
    rows = AccidentReport.objects.filter(trigger=AccidentReport.Trigger.OUTAGE)
    crossed = ExpressionWrapper(F("outage_started_at") + Value(OUTAGE, output_field=DurationField()), _MOMENT)
    known = Greatest(crossed, F("incident__opened_at"))
    rows = rows.annotate(known_at=ExpressionWrapper(known + Value(OPENING, output_field=DurationField()), _MOMENT))
    return _by_month(span, rows, "opened_at", broken=Q(opened_at__gt=F("known_at")))


def _accident_report(span: Span) -> Counts:
    return _due(span, AccidentReport.objects.exclude(state=State.WITHDRAWN), "due_at", "sent_at")


# --- people and contract ---------------------------------------------------------------------------------------------


def _contact_change(span: Span) -> Counts:
    return _due(span, ResponderNotice.objects.all(), "due_at", "given_at")


def _quota(span: Span) -> Counts:
    """Each limit of the contract once a month: what stood at its end, or stands now."""
    middleware = Q(kind=Kind.MIDDLEWARE) | Q(kind=Kind.DATABASE, product__in=QUOTA_DATABASES)
    rows = Asset.objects.manual().filter(middleware | Q(kind__in=(Kind.URL, Kind.PORT)), customer__in=span.ids)
    there: dict[int, list[tuple[str, figures.Span]]] = {}
    for owner, kind, since, until in rows.values_list("customer_id", "kind", "created_at", "retired_at"):
        there.setdefault(owner, []).append((kind, (since, until)))
    found: Counts = {}
    for customer, month in span.cells():
        contract = span.contract_of(customer, month)
        if contract is None:
            continue
        at = min(month.ends_at, span.now)
        kinds = [kind for kind, lived in there.get(customer.pk, []) if figures.standing([lived], at)]
        urls, ports = kinds.count(Kind.URL), kinds.count(Kind.PORT)
        limits = [
            (len(kinds) - urls - ports, contract.middleware_quota),
            (urls, contract.url_quota),
            (ports, contract.port_quota),
        ]
        limited = [(used, limit) for used, limit in limits if limit is not None]
        found[customer.pk, month] = Count(len(limited), broken=sum(used > limit for used, limit in limited))
    return found


def _expiry(span: Span) -> Counts:
    rows = Event.objects.filter(source=Event.Source.EXPIRY)
    return _by_month(span, rows, "recorded_at", broken=Q(detail__late=True))


def _duty(kind: DutyKind) -> Reader:
    def counted(span: Span) -> Counts:
        rows = DutyOccurrence.objects.filter(duty__kind=kind).annotate(done_on=TruncDate("done_at", tzinfo=ZONE))
        today = timezone.localdate(span.now)
        is_open = Q(done_at=None, dropped_at=None)
        broken = Q(dropped_at__isnull=False) | Q(done_on__gt=F("due_on")) | is_open & Q(due_on__lt=today)
        return _by_month(span, rows, "due_on", broken=broken, still_open=is_open & Q(due_on__gte=today), zone=None)

    return counted


# --- changes and backup ----------------------------------------------------------------------------------------------


def _patch_gate(span: Span) -> Counts:
    """Patches that began on something of production, and whether the same one had gone through elsewhere before; those
    that a script brings as well."""
    rows = Change.objects.may_bring_patches().filter(customer__in=span.ids).select_related("template")
    spare = ChangeAsset.objects.filter(change=OuterRef("pk")).spare()
    proofs = rows.filter(Exists(spare), state=ChangeState.CLOSED)
    proven = [(one.customer_id, one.patch, one.ended_at, one.pk) for one in proofs if one.patch]
    production = ChangeAsset.objects.filter(change=OuterRef("pk")).production()
    found: Counts = {}
    for change in span.within(rows, "begun_at").filter(Exists(production)):
        if not change.is_patch:
            continue
        is_proven = any(
            (owner, patch) == (change.customer_id, change.patch) and pk != change.pk and at and at <= change.begun_at
            for owner, patch, at, pk in proven
        )
        key = (change.customer_id, Month.of(timezone.localtime(change.begun_at, ZONE)))
        found[key] = together((found.get(key, NOTHING), Count(1, broken=int(not is_proven))))
    return found


def _change_backup(span: Span) -> Counts:
    """Every asset, and of what touches none a file of what is changed."""
    taken = BackupRecord.objects.filter(change=OuterRef("change"), asset=OuterRef("asset"))
    touched = ChangeAsset.objects.filter(change=OuterRef("pk"))
    files = BackupRecord.objects.filter(change=OuterRef("pk"), asset=None)
    is_bare = Exists(touched.filter(~Exists(taken))) | ~Exists(touched) & ~Exists(files)
    rows = Change.objects.annotate(is_bare=is_bare)
    return _by_month(span, rows, "begun_at", broken=Q(is_bare=True, backup_waiver=""))


def _backup_policy(span: Span) -> Counts:
    """What the last comparison found, for the running month and for one whose report is still written.

    Only the last is kept, with its moment; a month that is frozen was judged in its report.
    """
    policies: dict[int, list[BackupPolicy]] = {}
    for policy in BackupPolicy.objects.filter(customer__in=span.ids, asset__retired_at=None):
        policies.setdefault(policy.customer_id, []).append(policy)
    found: Counts = {}
    for customer, month in span.cells():
        mine = [one for one in policies.get(customer.pk, []) if one.agreed_at < month.ends_at]
        if not mine:
            continue
        if not month.starts_at <= span.now < month.freezes_at:
            found[customer.pk, month] = UNSEEN
            continue
        compared = [one for one in mine if one.state != BackupPolicy.State.BY_HAND]
        known = [one.state for one in compared if one.checked_at is not None and one.checked_at >= month.starts_at]
        broken, kept = known.count(BackupPolicy.State.DIFFERS), known.count(BackupPolicy.State.AS_AGREED)
        found[customer.pk, month] = Count(len(compared), broken=broken, open=len(compared) - broken - kept)
    return found


# --- access and audit ------------------------------------------------------------------------------------------------


def _bastion_only(span: Span) -> Counts:
    """Log-ins of every way. Where one server's own records were not read, nobody knows of those past the bastion."""
    past = _by_month(span, DirectLogin.objects.all(), "at", broken=Q(explained_at=None))
    through = _by_month(span, BastionSession.objects.all(), "opened_at")
    found = _joined((past, through))
    rows = Asset.objects.filter(customer__in=span.ids, kind__in=HOSTS).order_by()
    servers: dict[int, list[_Server]] = {}
    for owner, since, until, upto in rows.values_list(
        "customer_id", "created_at", "retired_at", "hardening__logins_upto"
    ):
        servers.setdefault(owner, []).append(_Server(since, until, upto))
    for customer, month in span.cells():
        key = customer.pk, month
        there = [one for one in servers.get(customer.pk, []) if one.was_there(month)]
        is_known = all(one.is_read(month, span.now) for one in there) if there else key not in found
        if not is_known:
            found[key] = Count(None, found.get(key, NOTHING).broken)
    return found


@dataclass(frozen=True, slots=True)
class _Server:
    """When a server was looked after, and up to when its own records of log-ins were read."""

    since: datetime
    until: datetime | None
    read_until: datetime | None

    def was_there(self, month: Month) -> bool:
        return self.since < month.ends_at and (self.until is None or self.until > month.starts_at)

    def is_read(self, month: Month, now: datetime) -> bool:
        """Over the whole of its month: the last half hour of a server that went is never read."""
        wanted = min(month.ends_at, now - LOGINS_LAG)
        if self.until is not None:
            wanted = min(wanted, self.until - LOGINS_LAG)
        return self.read_until is not None and self.read_until >= wanted


def _trail(span: Span, rows: QuerySet[TrailEvent], broken: Q) -> Counts:
    """Unknown where an account's trail was not read over the whole of the month so far, in each of its regions."""
    found = _by_month(span, rows, "occurred_at", broken=broken)
    accounts = CloudAccount.objects.existing().filter(customer__in=span.ids)
    read = TrailReading.objects.filter(customer__in=span.ids).by_account()
    for account in accounts:
        reach = read.get(account.pk)
        for month in span.months:
            if month.ends_at <= account.created_at:
                continue
            first, last = max(month.starts_at, account.created_at), min(month.ends_at, span.now - TRAIL_LAG)
            is_read = reach is not None and reach.since <= first and reach.until >= last
            key = (account.customer_id, month)
            if not is_read:
                found[key] = Count(None, found.get(key, NOTHING).broken)
    return found


def _audit_trail(span: Span) -> Counts:
    return _trail(span, TrailEvent.objects.all(), Q(verdict=TrailVerdict.UNMATCHED))


def _suspicious(span: Span) -> Counts:
    return _trail(span, TrailEvent.objects.filter(verdict=TrailVerdict.SUSPICIOUS), Q(incident=None))


def _joined(several: Iterable[Counts]) -> Counts:
    found: Counts = {}
    for counts in several:
        for key, count in counts.items():
            found[key] = together((found.get(key, NOTHING), count))
    return found


READERS: Final[Mapping[str, Reader]] = {
    "response-disaster": _of_severity(Severity.DISASTER),
    "response-high": _of_severity(Severity.HIGH),
    "response-average": _of_severity(Severity.AVERAGE),
    "response-warning": _of_severity(Severity.WARNING),
    "handling-disaster": _handling(Severity.DISASTER),
    "handling-high": _handling(Severity.HIGH),
    "handling-average": _handling(Severity.AVERAGE),
    "handling-warning": _handling(Severity.WARNING),
    "restore-disaster": _restored(Severity.DISASTER),
    "restore-high": _restored(Severity.HIGH),
    "response-raised": _raised,
    "notice": partial(
        _limited, kind=Clock.Kind.NOTICE, incident__kind=IncidentKind.INCIDENT, incident__severity=Severity.WARNING
    ),
    "stage-report": partial(_limited, kind=Clock.Kind.STAGE_REPORT, incident__kind=IncidentKind.INCIDENT),
    "escalation": _escalation,
    "monthly-report": _monthly_report,
    "report-parts": _parts,
    "accident-opened": _accident_opened,
    "accident-report": _accident_report,
    "contact-change": _contact_change,
    "quota": _quota,
    "expiry": _expiry,
    "announcements": _duty(DutyKind.ANNOUNCEMENT),
    "metric-review": _duty(DutyKind.METRIC_REVIEW),
    "other-duties": _duty(DutyKind.OTHER),
    "patch-gate": _patch_gate,
    "patch-review": _duty(DutyKind.PATCH_REVIEW),
    "change-backup": _change_backup,
    "backup-policy": _backup_policy,
    "restore-drill": _duty(DutyKind.RESTORE_DRILL),
    "bastion-only": _bastion_only,
    "audit-trail": _audit_trail,
    "trail-suspicious": _suspicious,
}
"""One for each promise of the catalogue."""
