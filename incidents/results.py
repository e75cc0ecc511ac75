"""What became of the promises of a month (R14, R79): stored results, grouped and added up, never counted anew (T12).

A clock belongs to the month in which it started. Rows are those in scope; internal incidents are on no page of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Aggregate, Avg, Count, F, FloatField, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth

from accounts.calendars import ALWAYS
from accounts.models import Customer, Severity
from incidents import sla
from incidents.models import Clock, Incident, IncidentKind, Satisfaction, ThirdPartyTime
from incidents.months import ZONE, Month

Cause = Incident.Cause
TREND_MONTHS: Final = 12
SHOWN: Final = (
    Clock.Kind.NOTICE, Clock.Kind.RESPONSE, Clock.Kind.HANDLING, Clock.Kind.STAGE_REPORT, Clock.Kind.CUSTOMER_REPLY
)  # fmt: skip
OTHERS: Final = (Cause.CUSTOMER_APPLICATION, Cause.ALIYUN, Cause.THIRD_PARTY)
"""Causes that are not the provider's: the agreement is about the managed service only (R14)."""


class Percentile90(Aggregate):
    """The value below which nine of ten lie."""

    template = "percentile_cont(0.9) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True)
class Tally:
    """How many promises were kept. Running ones are not judged yet, unless they are late already."""

    count: int = 0
    met: int = 0
    missed: int = 0
    missed_by_others: int = 0
    """Of those missed: where the cause lay with the customer, Alibaba Cloud or a third party."""
    met_by_others: int = 0
    running: int = 0

    @property
    def share(self) -> float | None:
        """Kept of those judged, in per cent."""
        return _per_cent(self.met, self.missed)

    @property
    def own_share(self) -> float | None:
        """The same without incidents whose cause was not the provider's (R14)."""
        return _per_cent(self.met - self.met_by_others, self.missed - self.missed_by_others)


@dataclass(frozen=True, slots=True)
class Line:
    """One severity and one clock of a month."""

    severity: Severity
    kind: Clock.Kind
    tally: Tally
    targets: tuple[int, ...]
    """The shortest and the longest limit of its clocks, in minutes: one where all have the same, none without any."""
    mean_s: float | None
    p90_s: float | None
    paused_s: int

    @property
    def has_target(self) -> bool:
        return bool(self.targets)


@dataclass(frozen=True, slots=True)
class Side:
    """Where incidents had their cause, and how long they took."""

    cause: str
    label: str
    incidents: int
    handling_s: int
    held_s: int
    """How long incidents of whatever cause lay with them, by their tickets, around the clock."""


@dataclass(frozen=True, slots=True)
class Content:
    """How content the customers are."""

    scores: int = 0
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A month of one customer."""

    month: Month
    incidents: int
    lines: tuple[Line, ...]
    sides: tuple[Side, ...]
    waited_s: int
    content: Content

    @property
    def response(self) -> Tally:
        return self._of(Clock.Kind.RESPONSE)

    @property
    def waited(self) -> Tally:
        """Questions to the customer."""
        return self._of(Clock.Kind.CUSTOMER_REPLY)

    @property
    def missed(self) -> int:
        """Deadlines of the provider's, whoever caused the incident."""
        return sum(line.tally.missed for line in self.lines if line.kind is not Clock.Kind.CUSTOMER_REPLY)

    def _of(self, kind: Clock.Kind) -> Tally:
        return _sum(line.tally for line in self.lines if line.kind is kind)


@dataclass(frozen=True, slots=True)
class Point:
    """One month of the trend."""

    month: Month
    incidents: int
    shares: Mapping[Clock.Kind, float | None]
    content: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One customer beside the others."""

    customer: Customer
    incidents: int
    tallies: Mapping[Clock.Kind, Tally]
    unexplained: int
    content: Content


def clocks_of(month: Month, *, customer: Customer | None = None, kind: str = IncidentKind.INCIDENT) -> QuerySet[Clock]:
    """The clocks of a month, of one customer or of all in scope."""
    rows = _counted(kind).filter(started_at__gte=month.starts_at, started_at__lt=month.ends_at)
    return rows if customer is None else rows.filter(customer=customer)


def of_month(month: Month, *, customer: Customer, kind: str = IncidentKind.INCIDENT) -> Result:
    """Everything about one customer's month, in a constant number of queries."""
    rows = clocks_of(month, customer=customer, kind=kind)
    waited = rows.filter(kind=Clock.Kind.CUSTOMER_REPLY).aggregate(total=Sum("elapsed_seconds"))["total"]
    return Result(
        month=month,
        incidents=rows.filter(kind=Clock.Kind.HANDLING).count(),
        lines=_lines(rows),
        sides=_sides(rows, time_apart(rows)),
        waited_s=int(waited or 0),
        content=_content(month, kind).get(customer.pk, Content()),
    )


def trend(last: Month, *, customer: Customer | None = None, kind: str = IncidentKind.INCIDENT) -> list[Point]:
    """Twelve months up to `last`, oldest first."""
    months = [last.shifted(back) for back in range(1 - TREND_MONTHS, 1)]
    span = {"started_at__gte": months[0].starts_at, "started_at__lt": last.ends_at}
    rows = _counted(kind).filter(**span)
    scores = Satisfaction.objects.filter(incident__kind=kind)
    scores = scores.filter(given_at__gte=months[0].starts_at, given_at__lt=last.ends_at)
    if customer is not None:
        rows, scores = rows.filter(customer=customer), scores.filter(customer=customer)
    tallies: dict[tuple[Month, str], Tally] = {}
    by_month = rows.annotate(month=TruncMonth("started_at", tzinfo=ZONE)).values("month", "kind").order_by()
    for row in by_month.annotate(**_counts()):
        tallies[Month.of(row["month"]), row["kind"]] = _tally(row)
    content = {
        Month.of(row["month"]): row["mean"]
        for row in scores.annotate(month=TruncMonth("given_at", tzinfo=ZONE)).values("month").order_by()
        .annotate(mean=Avg("score"))
    }  # fmt: skip
    return [
        Point(
            month=month,
            incidents=tallies.get((month, Clock.Kind.HANDLING), Tally()).count,
            shares={kind: tallies.get((month, kind), Tally()).share for kind in SHOWN},
            content=content.get(month),
        )
        for month in months
    ]


def standings(month: Month, customers: Sequence[Customer]) -> list[Standing]:
    """The customers side by side."""
    tallies: dict[int, dict[Clock.Kind, Tally]] = {}
    rows = clocks_of(month)
    for row in rows.values("customer_id", "kind").order_by().annotate(**_counts()):
        tallies.setdefault(row["customer_id"], {})[Clock.Kind(row["kind"])] = _tally(row)
    open_questions = rows.exclude(kind=Clock.Kind.CUSTOMER_REPLY).exclude(breached_at=None).filter(breach_code="")
    unexplained = dict(open_questions.values_list("customer_id").order_by().annotate(Count("pk")))
    content = _content(month, IncidentKind.INCIDENT)
    return [
        Standing(
            customer=customer,
            incidents=tallies.get(customer.pk, {}).get(Clock.Kind.HANDLING, Tally()).count,
            tallies=tallies.get(customer.pk, {}),
            unexplained=unexplained.get(customer.pk, 0),
            content=content.get(customer.pk, Content()),
        )
        for customer in customers
    ]


def _counted(kind: str) -> QuerySet[Clock]:
    """The clocks that count: not the provider's own, nor those of one that another incident carries."""
    rows: QuerySet[Clock] = Clock.objects.filter(
        incident__kind=kind, incident__parent=None, incident__duplicate_of=None
    )
    return rows.exclude(incident__kind=IncidentKind.INTERNAL)


def _lines(rows: QuerySet[Clock]) -> tuple[Line, ...]:
    grouped = rows.values(severity=F("incident__severity"), clock=F("kind")).order_by()
    found = {}
    for row in grouped.annotate(
        **_counts(),
        shortest=Min("target_minutes"),
        longest=Max("target_minutes"),
        mean=Avg("elapsed_seconds"),
        p90=Percentile90("elapsed_seconds"),
        paused=Sum("paused_seconds"),
    ):
        severity, kind = Severity(row["severity"]), Clock.Kind(row["clock"])
        found[severity, kind] = Line(
            severity=severity,
            kind=kind,
            tally=_tally(row),
            targets=tuple(sorted({row["shortest"], row["longest"]} - {None})),
            mean_s=None if row["mean"] is None else float(row["mean"]),
            p90_s=row["p90"],
            paused_s=int(row["paused"] or 0),
        )
    return tuple(found[key] for key in ((severity, kind) for severity in Severity for kind in SHOWN) if key in found)


def time_apart(rows: QuerySet[Clock]) -> dict[str, timedelta]:
    """How long the incidents of these clocks lay with whom; an incident's stretches that overlap count once."""
    ended = ThirdPartyTime.objects.filter(incident__in=rows.order_by().values("incident"), ended_at__isnull=False)
    found: dict[tuple[int, str], list[sla.Pause]] = {}
    for incident_id, party, started_at, ended_at in ended.values_list("incident", "party", "started_at", "ended_at"):
        found.setdefault((incident_id, party), []).append(sla.Pause(started_at, ended_at))
    sums: dict[str, timedelta] = {}
    for (_incident, party), stretches in found.items():
        first, last = min(each.start for each in stretches), max(each.end or each.start for each in stretches)
        sums[party] = sums.get(party, timedelta()) + sla.paused(first, last, ALWAYS, stretches)
    return sums


def _sides(rows: QuerySet[Clock], apart: Mapping[str, timedelta]) -> tuple[Side, ...]:
    """Solved incidents by where the cause was; what nobody could tell counts as the provider's own."""
    handled = rows.filter(kind=Clock.Kind.HANDLING, stopped_at__isnull=False).order_by()
    by_cause = {
        row["cause"]: (row["incidents"], int(row["seconds"] or 0))
        for row in handled.values(cause=F("incident__cause")).annotate(
            incidents=Count("pk"), seconds=Sum("elapsed_seconds")
        )
    }
    own = [found for cause, found in by_cause.items() if cause not in OTHERS]
    ours = Side(Cause.SYSTEM, str(Cause.SYSTEM.label), sum(count for count, _ in own), sum(took for _, took in own), 0)
    held = {cause: int(apart.get(cause, timedelta()).total_seconds()) for cause in OTHERS}
    return (ours, *(Side(cause, str(cause.label), *by_cause.get(cause, (0, 0)), held[cause]) for cause in OTHERS))


def _content(month: Month, kind: str) -> dict[int, Content]:
    """Scores that were given in the month, by customer."""
    given = Satisfaction.objects.filter(
        incident__kind=kind, given_at__gte=month.starts_at, given_at__lt=month.ends_at
    ).order_by()
    return {
        row["customer_id"]: Content(row["scores"], float(row["mean"]))
        for row in given.values("customer_id").annotate(scores=Count("pk"), mean=Avg("score"))
    }


def _counts() -> dict[str, Any]:
    """A promise is kept when its clock stopped in time, or has no limit at all and stopped."""
    others = Q(incident__cause__in=OTHERS)
    met = Q(stopped_at__isnull=False, breached_at=None)
    missed = Q(breached_at__isnull=False)
    return {
        "count": Count("pk"),
        "met": Count("pk", filter=met),
        "missed": Count("pk", filter=missed),
        "met_by_others": Count("pk", filter=met & others),
        "missed_by_others": Count("pk", filter=missed & others),
        "running": Count("pk", filter=Q(stopped_at=None)),
    }


def _tally(row: Mapping[str, Any]) -> Tally:
    return Tally(**{name: row[name] for name in Tally.__slots__})


def _sum(tallies: Iterable[Tally]) -> Tally:
    kept = list(tallies)
    return Tally(**{name: sum(getattr(tally, name) for tally in kept) for name in Tally.__slots__})


def _per_cent(met: int, missed: int) -> float | None:
    return 100 * met / (met + missed) if met + missed else None
