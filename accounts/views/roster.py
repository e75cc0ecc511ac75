"""The on-call roster: one week as a table of days and duties, with the times that nobody has taken."""

from dataclasses import dataclass
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

DAY = timedelta(days=1)
MANAGING = (RosterShift.Duty.MANAGER, RosterShift.Duty.ACTING_MANAGER)


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


@require_safe
@require(is_provider)
def week(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    monday = _monday(request.GET.get("week", ""))
    customer = _customer(request)
    days = [_midnight(monday + timedelta(days=n)) for n in range(8)]
    shifts = RosterShift.objects.filter(ends_at__gt=days[0], starts_at__lt=days[7])
    shifts = shifts.select_related("user", "customer")
    customer_id = customer.pk if customer else None
    shown = list(shifts.serving(customer.pk) if customer else shifts)
    gaps = roster.gaps(customer_id=customer_id, start=days[0], end=days[7])
    context = {
        "days": days[:7],
        "rows": [_row(duty, shown, gaps, days, now) for duty in ("first", "second", "manager")],
        "upcoming": roster.gaps(customer_id=customer_id, start=now, end=now + roster.GAP_HORIZON)[:10],
        "monday": monday,
        "previous": monday - timedelta(days=7),
        "next": monday + timedelta(days=7),
        "today": timezone.localdate(),
        "customer": customer,
        "customers": Customer.objects.all(),
        "may_edit": is_manager(person_of(request)),
    }
    return render(request, "accounts/roster.html", context)


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
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = timezone.localdate()
    day = min(max(day, date(2000, 1, 3)), date(2100, 1, 4))
    return day - timedelta(days=day.weekday())


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _row(duty: str, shifts: list[RosterShift], gaps: list[roster.Gap], days: list[datetime], now: datetime) -> Row:
    duties = MANAGING if duty in MANAGING else (duty,)
    mine: list[tuple[RosterShift | None, datetime, datetime]] = [
        (shift, shift.starts_at, shift.ends_at) for shift in shifts if shift.duty in duties
    ]
    mine += [(None, gap.starts_at, gap.ends_at) for gap in gaps if gap.duty == duty]
    cells = tuple(_pieces(mine, start, start + DAY, now) for start in days[:7])
    return Row(str(RosterShift.Duty(duty).label), cells)


def _pieces(
    spans: list[tuple[RosterShift | None, datetime, datetime]], start: datetime, end: datetime, now: datetime
) -> tuple[Piece, ...]:
    pieces = [
        Piece(shift, max(begins, start), min(ends, end), begins <= now < ends and start <= now < end)
        for shift, begins, ends in spans
        if begins < end and ends > start
    ]
    return tuple(sorted(pieces, key=lambda piece: piece.starts))
