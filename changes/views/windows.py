"""Freezes, maintenance windows, and the calendar of changes."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import ical, scope
from accounts.models import Customer, User
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.windows import overlaps
from changes.forms import WindowForm
from changes.models import Change, ChangeWindow, DutyOccurrence
from changes.services import freezing, windows
from changes.states import OPEN
from changes.words import said

SALT = "changes.calendar"
AHEAD, BACK = timedelta(days=180), timedelta(days=30)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Day:
    """One square of the calendar: what has its window on it, and what freezes it."""

    day: date
    changes: list[tuple[Change, str]]
    """With the time that it begins on this day, or ends."""
    frozen: list[str]
    maintenance: list[str]
    """In which maintenance windows one may work."""
    is_today: bool
    is_other: bool
    """Of the month before or after."""


@require_safe
def calendar(request: HttpRequest) -> HttpResponse:
    """A month, a week or a list of what is planned."""
    view = request.GET.get("view", "month")
    view = view if view in ("month", "week", "list") else "month"
    at = _asked_day(request)
    first, last = _span(view, at)
    rows = Change.objects.within(_midnight(first), _midnight(last + DAY)).for_lists().order_by("starts_at", "pk")
    changes = list(rows)
    standing = ChangeWindow.objects.standing(_midnight(first)).select_related("customer")
    marks = _marks(list(standing), first, last, person_of(request).customer)
    context = {
        "view": view,
        "days": [_day(first + DAY * number, changes, marks, at) for number in range((last - first).days + 1)],
        "changes": changes,
        "at": at,
        "first": first,
        "last": last,
        "before": _moved(view, at, -1),
        "after": _moved(view, at, 1),
        "shows_customer": is_provider(person_of(request)),
        "open": OPEN,
        "feed": request.build_absolute_uri(reverse("changes:feed", args=[feed_token(person_of(request))])),
    }
    return render(request, "changes/calendar.html", context)


@login_not_required
@require_safe
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """The calendar for other programs. The address ends with the owner's password, and when they leave."""
    person = _owner(token)
    if person is None:
        raise Http404
    now = timezone.now()
    with scope.user(person), translation.override(person.language):
        rows = Change.objects.within(now - BACK, now + AHEAD).select_related("customer").order_by("starts_at")
        events = [
            ical.Event(
                uid=f"change-{change.pk}@rdmp",
                starts_at=change.starts_at,
                ends_at=change.ends_at,
                summary=f"{change.number} {change.title}",
                description=f"{change.customer} · {change.get_state_display()}",
            )
            for change in rows
            if change.starts_at is not None and change.ends_at is not None
        ]
        events += [_duty_event(one) for one in _duties_near(now)]
        body = ical.calendar(_("Changes"), events, now=now)
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What is frozen and when one may work, of the customers in reach."""
    rows = ChangeWindow.objects.standing(timezone.now()).select_related("customer", "created_by")
    return render(request, "changes/windows.html", {"windows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    posted = request.POST if request.method == "POST" else None
    form = WindowForm(posted, customers=Customer.objects.order_by("name"))
    if not is_manager(person):
        form.fields["customer"].required = True
    if posted is not None and form.is_valid():
        given = form.cleaned_data
        freezing.create(
            customer=given["customer"],
            kind=given["kind"],
            name=given["name"],
            windows=form.windows(),
            holidays=given["holidays"],
            actor=person,
            now=timezone.now(),
        )
        messages.success(request, _("Saved."))
        return redirect("changes:windows")
    return render(request, "changes/window_form.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    window = get_object_or_404(ChangeWindow.objects, pk=pk)
    freezing.end(window=window, actor=person_of(request), now=timezone.now())
    messages.success(request, _("It holds no more."))
    return redirect("changes:windows")


def feed_token(person: User) -> str:
    """Signed over the mark of the password: whoever changes it ends the address."""
    return signing.dumps([person.pk, person.get_session_auth_hash()[:16]], salt=SALT)


def _owner(token: str) -> User | None:
    try:
        pk, mark = signing.loads(token, salt=SALT)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    with scope.platform("whose calendar this is"):
        person = User.objects.filter(pk=pk, is_active=True).first()
    return person if person is not None and person.get_session_auth_hash()[:16] == mark else None


def _duties_near(now: datetime) -> QuerySet[DutyOccurrence]:
    near = {"due_on__gte": (now - BACK).date(), "due_on__lte": (now + AHEAD).date()}
    rows: QuerySet[DutyOccurrence] = DutyOccurrence.objects.for_lists().filter(dropped_at=None, **near)
    return rows


def _duty_event(occurrence: DutyOccurrence) -> ical.Event:
    """In the morning of its day."""
    starts = _midnight(occurrence.due_on) + timedelta(hours=9)
    return ical.Event(
        uid=f"duty-{occurrence.pk}@rdmp",
        starts_at=starts,
        ends_at=starts + timedelta(hours=1),
        summary=said(occurrence.duty.words),
        description=f"{occurrence.customer}",
    )


def _asked_day(request: HttpRequest) -> date:
    try:
        asked = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        return timezone.localdate()
    return asked if date(2000, 1, 1) <= asked <= date(2100, 1, 1) else timezone.localdate()


def _span(view: str, at: date) -> tuple[date, date]:
    """The first and the last day shown: whole weeks of the month, one week, or thirty days."""
    if view == "week":
        monday = at - DAY * at.weekday()
        return monday, monday + DAY * 6
    if view == "list":
        return at, at + DAY * 30
    first = at.replace(day=1)
    last = at.replace(day=monthrange(at.year, at.month)[1])
    return first - DAY * first.weekday(), last + DAY * (6 - last.weekday())


def _moved(view: str, at: date, steps: int) -> date:
    if view == "month":
        first = at.replace(day=1)
        return (first - DAY).replace(day=1) if steps < 0 else first + DAY * monthrange(at.year, at.month)[1]
    return at + DAY * (7 if view == "week" else 30) * steps


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _time_on(start: datetime, end: datetime, begins: datetime, ends: datetime) -> str:
    if begins >= start:
        return f"{timezone.localtime(begins):%H:%M}"
    return f"→ {timezone.localtime(ends):%H:%M}" if ends <= end else "→"


def _marks(
    standing: list[ChangeWindow], first: date, last: date, reader: Customer | None
) -> list[tuple[ChangeWindow, Collection[date]]]:
    """Each freeze and maintenance window with the public holidays on which it holds as well: by the calendar of its
    customer, and of one for all customers by the reader's own."""
    span = (_midnight(first), _midnight(last + DAY))
    days_of = {
        customer: windows.holidays(customer, *span)
        for customer in {one.customer or reader for one in standing if one.holidays}
    }
    return [(one, days_of[one.customer or reader] if one.holidays else ()) for one in standing]


def _day(day: date, changes: list[Change], marks: list[tuple[ChangeWindow, Collection[date]]], at: date) -> Day:
    start, end = _midnight(day), _midnight(day + DAY)
    here = [
        (change, _time_on(start, end, change.starts_at, change.ends_at))
        for change in changes
        if change.starts_at is not None and change.ends_at is not None
        if change.starts_at < end and change.ends_at > start
    ]
    holding = [one for one, days in marks if day in days or overlaps(one.spans(), start, end)]
    frozen = [one.name for one in holding if one.kind == ChangeWindow.Kind.FREEZE]
    maintenance = [one.name for one in holding if one.kind == ChangeWindow.Kind.MAINTENANCE]
    return Day(day, here, frozen, maintenance, is_today=day == timezone.localdate(), is_other=day.month != at.month)
