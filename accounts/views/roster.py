"""The on-call roster: a week as a table of days and duties, a month at a glance, and the times without anybody."""

from calendar import Calendar as Weeks
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms.roster import ShiftForm
from accounts.models import Customer, RosterShift
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.services import roster
from accounts.services.roster import Gap, Span

DAY = timedelta(days=1)
MANAGING = (RosterShift.Duty.MANAGER, RosterShift.Duty.ACTING_MANAGER)
DUTIES = (RosterShift.Duty.FIRST, RosterShift.Duty.SECOND, RosterShift.Duty.MANAGER)


@dataclass(frozen=True)
class Piece:
    """The part of a shift, or of a gap, that lies in one day."""

    shift: RosterShift | None
    starts: datetime
    ends: datetime
    is_now: bool

    @property
    def hours(self) -> str:
        start, end = timezone.localtime(self.starts), timezone.localtime(self.ends)
        whole = end - start >= DAY
        return _("all day") if whole else f"{start:%H:%M}–{'24:00' if end.date() > start.date() else f'{end:%H:%M}'}"


@dataclass(frozen=True)
class Row:
    label: str
    cells: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True)
class Taken:
    """Who has a duty on one day of a month, in their order."""

    duty: RosterShift.Duty
    names: tuple[str, ...]
    has_gap: bool


@dataclass(frozen=True)
class MonthDay:
    day: date
    is_inside: bool
    taken: tuple[Taken, ...]


@require_safe
@require(is_provider)
def week(request: HttpRequest) -> HttpResponse:
    """Seven days, or with `view=month` the weeks of a month."""
    if request.GET.get("view") == "month":
        return _month(request)
    now, monday, customer = timezone.now(), _monday(request.GET.get("week", "")), _customer(request)
    days = [_midnight(monday + timedelta(days=n)) for n in range(8)]
    spans, gaps = _seen(customer, days[0], days[7])
    context = _around(request, customer, now) | {
        "days": days[:7],
        "rows": [_row(duty, spans, gaps, days, now) for duty in DUTIES],
        "monday": monday,
        "previous": monday - timedelta(days=7),
        "next": monday + timedelta(days=7),
        "month": monday.strftime("%Y-%m"),
    }
    return render(request, "accounts/roster.html", context)


def _month(request: HttpRequest) -> HttpResponse:
    now, first, customer = timezone.now(), _first_of(request.GET.get("month", "")), _customer(request)
    days = [day for week in Weeks().monthdatescalendar(first.year, first.month) for day in week]
    spans, gaps = _seen(customer, _midnight(days[0]), _midnight(days[-1] + DAY))
    ahead = [replace(gap, starts_at=max(gap.starts_at, now)) for gap in gaps if gap.ends_at > now]
    cells = [_month_day(day, first, spans, ahead) for day in days]
    context = _around(request, customer, now) | {
        "weeks": [cells[at : at + 7] for at in range(0, len(cells), 7)],
        "first": first,
        "previous": (first - DAY).strftime("%Y-%m"),
        "next": (first + timedelta(days=31)).strftime("%Y-%m"),
    }
    return render(request, "accounts/roster_month.html", context)


def _around(request: HttpRequest, customer: Customer | None, now: datetime) -> dict[str, object]:
    """What stands around either view."""
    customer_id = customer.pk if customer else None
    return {
        "upcoming": roster.gaps(customer_id=customer_id, start=now, end=now + roster.GAP_HORIZON)[:10],
        "today": timezone.localdate(),
        "customer": customer,
        "customers": Customer.objects.all(),
        "may_edit": is_manager(person_of(request)),
    }


def _seen(customer: Customer | None, start: datetime, end: datetime) -> tuple[list[Span], list[Gap]]:
    customer_id = customer.pk if customer else None
    gaps = roster.gaps(customer_id=customer_id, start=start, end=end)
    if customer is None:
        return roster.everywhere(start=start, end=end), gaps
    return roster.effective(customer_id=customer.pk, start=start, end=end), gaps


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_manager)
def shift_new(request: HttpRequest) -> HttpResponse:
    form = ShiftForm(request.POST or None, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        data, actor, now = form.cleaned_data, person_of(request), timezone.now()
        with transaction.atomic():
            for starts_at, ends_at in form.spans():
                roster.add_shift(
                    duty=data["duty"],
                    user=data["user"],
                    starts_at=starts_at,
                    ends_at=ends_at,
                    customer=data["customer"],
                    actor=actor,
                    now=now,
                )
        messages.success(request, _("%(count)d shifts are in the roster.") % {"count": len(form.spans())})
        return redirect(f"/roster/?week={timezone.localtime(data['starts_at']).date()}")
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "title": _("New shift"), "back": "/roster/"}
    return render(request, "accounts/form.html", context, status=status)


@require_POST
@require(is_manager)
def shift_remove(request: HttpRequest, pk: int) -> HttpResponse:
    shift = get_object_or_404(RosterShift.objects.select_related("customer", "user"), pk=pk)
    day = timezone.localtime(shift.starts_at).date()
    roster.remove_shift(shift=shift, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The shift is out of the roster."))
    return redirect(f"/roster/?week={day}")


def _initial(request: HttpRequest) -> dict[str, object]:
    """A click on a gap brings its duty and times along."""
    wanted: dict[str, object] = {"duty": request.GET.get("duty", RosterShift.Duty.FIRST), "times": 1}
    for name in ("starts_at", "ends_at"):
        try:
            moment = datetime.fromisoformat(request.GET.get(name, ""))
        except ValueError:
            continue
        wanted[name] = timezone.localtime(moment).replace(tzinfo=None) if moment.tzinfo else moment
    if "starts_at" not in wanted:
        start = _midnight(_monday("") + timedelta(days=7)) + timedelta(hours=9)
        wanted |= {"starts_at": start.replace(tzinfo=None), "ends_at": (start + DAY / 2).replace(tzinfo=None)}
    return wanted


def _customer(request: HttpRequest) -> Customer | None:
    asked = request.GET.get("customer", "")
    return Customer.objects.filter(pk=int(asked)).first() if asked.isdigit() and len(asked) < 10 else None


def _monday(text: str) -> date:
    day = _bounded(text)
    return day - timedelta(days=day.weekday())


def _first_of(text: str) -> date:
    return _bounded(f"{text}-01" if text else "").replace(day=1)


def _bounded(text: str) -> date:
    """A date that somebody wrote into an address, or today; never one that arithmetic cannot leave."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = timezone.localdate()
    return min(max(day, date(2000, 1, 3)), date(2100, 1, 4))


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _duties(duty: str) -> Sequence[str]:
    return MANAGING if duty in MANAGING else (duty,)


def _row(duty: RosterShift.Duty, spans: list[Span], gaps: list[Gap], days: list[datetime], now: datetime) -> Row:
    mine: list[tuple[RosterShift | None, datetime, datetime]] = [
        (span.shift, span.starts_at, span.ends_at) for span in spans if span.duty in _duties(duty)
    ]
    mine += [(None, gap.starts_at, gap.ends_at) for gap in gaps if gap.duty == duty]
    cells = tuple(_pieces(mine, start, start + DAY, now) for start in days[:7])
    return Row(str(duty.label), cells)


def _pieces(
    spans: list[tuple[RosterShift | None, datetime, datetime]], start: datetime, end: datetime, now: datetime
) -> tuple[Piece, ...]:
    pieces = [
        Piece(shift, max(begins, start), min(ends, end), begins <= now < ends and start <= now < end)
        for shift, begins, ends in spans
        if begins < end and ends > start
    ]
    return tuple(sorted(pieces, key=lambda piece: piece.starts))


def _month_day(day: date, first: date, spans: list[Span], gaps: list[Gap]) -> MonthDay:
    start = _midnight(day)
    end = start + DAY
    taken = []
    for duty in DUTIES:
        names = [
            span.user.name
            for span in spans
            if span.duty in _duties(duty) and span.starts_at < end and span.ends_at > start
        ]
        has_gap = any(gap.duty == duty and gap.starts_at < end and gap.ends_at > start for gap in gaps)
        taken.append(Taken(duty, tuple(dict.fromkeys(names)), has_gap))
    return MonthDay(day, day.month == first.month, tuple(taken))
