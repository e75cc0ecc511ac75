"""Contract compliance: what became of every promise, by customer and month, with the way to the rows behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of
from changes.models import DutyOccurrence
from changes.words import said
from incidents.months import Month
from incidents.views.sla import asked_month
from reports import promises
from reports.cells import length
from reports.kinds import promises as kept
from reports.promises import NOTHING, Count, Promise, Tally, Verdict

ICONS = {
    Verdict.KEPT: "circle-check",
    Verdict.BROKEN: "circle-x",
    Verdict.NOT_ASKED: "minus",
    Verdict.UNKNOWN: "help-circle",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One promise in one month."""

    month: Month
    count: Count

    @property
    def label(self) -> str:
        return str(kept.LABELS[self.count.verdict])

    @property
    def is_asked(self) -> bool:
        return self.count.verdict is not Verdict.NOT_ASKED

    @property
    def icon(self) -> str:
        return ICONS[self.count.verdict]


@dataclass(frozen=True, slots=True)
class Line:
    """One promise: the month that is shown, and the months before."""

    promise: Promise
    words: str
    clause: str
    shown: Cell
    cells: tuple[Cell, ...]
    evidence: str

    @property
    def took(self) -> str:
        """How long what was done took, of promises about time."""
        mean, longest = self.shown.count.mean_s, self.shown.count.longest_s
        if mean is None or longest is None:
            return ""
        return _("Mean %(mean)s, longest %(longest)s") % {"mean": length(mean), "longest": length(longest)}


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """One customer beside the others."""

    customer: Customer
    tally: Tally


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every customer in reach; a customer's own people come to theirs at once."""
    person = person_of(request)
    if not is_provider(person):
        return redirect("reports:promises-of", person.customer_id or 0)
    month, customers = _month(request), list(Customer.objects.order_by("name"))
    found = kept.read(customers, [month], now=timezone.now())
    rows = [
        Standing(one, promises.tally(counts.get((one.pk, month), NOTHING) for counts in found.values()))
        for one in customers
    ]
    rows.sort(key=lambda row: (-row.tally.broken, str(row.customer)))
    if tables.wants_csv(request):
        return _export_standings(rows, month)
    context = {"rows": rows, "month": month, "months": _choices(month)}
    return render(request, "reports/promises.html", context)


@require_safe
def of_customer(request: HttpRequest, customer_id: int) -> HttpResponse:
    """One month of one customer, and the year up to now."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    month, months = _month(request), _year()
    groups = _groups(customer, month, months, person_of(request))
    lines = [line for group in groups for line in group.lines]
    if tables.wants_csv(request):
        return _export(customer, lines)
    context = {
        "customer": customer,
        "month": month,
        "months": _choices(month),
        "year": months,
        "groups": groups,
        "tally": promises.tally(line.shown.count for line in lines),
        "overdue": DutyOccurrence.objects.overdue(timezone.localdate()).filter(customer=customer).count(),
    }
    return render(request, "reports/promises_of.html", context)


def _groups(customer: Customer, month: Month, months: Sequence[Month], person: User) -> list[Group]:
    now = timezone.now()
    wanted = sorted({month, *months})
    found = kept.read([customer], wanted, now=now)

    def line(promise: Promise) -> Line:
        counts = found[promise.code]
        cells = {one: Cell(one, counts.get((customer.pk, one), NOTHING)) for one in wanted}
        is_open = is_provider(person) or not promise.is_internal
        evidence = promise.evidence(customer.pk, str(month)) if is_open else ""
        return Line(
            promise,
            said(promise.words),
            said(promise.clause),
            cells[month],
            tuple(cells[one] for one in months),
            evidence,
        )

    return [
        Group(said(words), tuple(line(one) for one in promises.catalogue() if one.group == code))
        for code, words in promises.groups().items()
    ]


def _month(request: HttpRequest) -> Month:
    """Never one that is still to come."""
    return min(asked_month(request), Month.of(timezone.localdate()))


def _year() -> list[Month]:
    last = Month.of(timezone.localdate())
    return [last.shifted(back) for back in range(1 - kept.MONTHS, 1)]


def _choices(shown: Month) -> list[Month]:
    return sorted({shown, *_year()}, reverse=True)


def _export(customer: Customer, lines: Sequence[Line]) -> HttpResponse:
    rows = [(line, cell) for line in lines for cell in line.cells]
    columns: dict[str, Callable[[tuple[Line, Cell]], object]] = {
        _("Customer"): lambda _row: customer.name,
        _("Promise"): lambda row: row[0].words,
        _("Clause"): lambda row: row[0].clause,
        _("Month"): lambda row: str(row[1].month),
        _("State"): lambda row: row[1].label,
        pgettext("promise", "Due"): lambda row: row[1].count.owed,
        pgettext("promise", "Kept"): lambda row: row[1].count.kept,
        pgettext("promise", "Broken"): lambda row: row[1].count.broken,
        pgettext("promise", "Open"): lambda row: row[1].count.open,
        _("Mean, seconds"): lambda row: _whole(row[1].count.mean_s),
        _("Longest, seconds"): lambda row: _whole(row[1].count.longest_s),
    }
    return tables.export_csv(rows, columns, f"promises-{customer.code}")


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _export_standings(rows: Sequence[Standing], month: Month) -> HttpResponse:
    columns: dict[str, Callable[[Standing], object]] = {
        _("Month"): lambda _row: str(month),
        _("Customer"): lambda row: row.customer.name,
        pgettext("promise", "Kept"): lambda row: row.tally.kept,
        pgettext("promise", "Broken"): lambda row: row.tally.broken,
        pgettext("promise", "Nothing due"): lambda row: row.tally.not_asked,
        _("Not known"): lambda row: row.tally.unknown,
    }
    return tables.export_csv(rows, columns, f"promises-{month}")
