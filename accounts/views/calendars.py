"""Business calendars: the year as people see it, where each special day comes from, and the versions (R57)."""

from calendar import Calendar as Weeks
from dataclasses import dataclass
from datetime import date

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms.calendars import WEEKDAYS, DayForm, WeekForm
from accounts.models import BusinessCalendar, CalendarDay, CalendarVersion, Customer
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.services import calendars

HOLIDAYS = (
    gettext_noop("New Year's Day"),
    gettext_noop("Spring Festival"),
    gettext_noop("Tomb-sweeping Day"),
    gettext_noop("Labour Day"),
    gettext_noop("Dragon Boat Festival"),
    gettext_noop("Mid-autumn Festival"),
    gettext_noop("National Day"),
)
"""What the published calendars call the days; the pages translate them."""

form_view = require_http_methods(["GET", "HEAD", "POST"])


@dataclass(frozen=True)
class DayCell:
    day: date
    kind: str
    note: str


@dataclass(frozen=True)
class Month:
    first: date
    weeks: tuple[tuple[DayCell | None, ...], ...]


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    rows = BusinessCalendar.objects.select_related("customer").order_by("customer__name", "name")
    found = [(row, row.versions.select_related("created_by").first()) for row in rows.prefetch_related("versions")]
    taken = {row.customer_id for row, _version in found if row.customer_id}
    context = {"calendars": found, "customers": Customer.objects.exclude(pk__in=taken)}
    return render(request, "accounts/calendars.html", context)


@require_safe
@require(is_provider)
def calendar(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(BusinessCalendar.objects.select_related("customer"), pk=pk)
    versions = list(found.versions.select_related("created_by"))
    version = _version(versions, request.GET.get("version", ""))
    year = _year(request.GET.get("year", ""))
    days = {day.day: day for day in version.days.filter(day__year=year)}
    context = {
        "calendar": found,
        "version": version,
        "versions": versions,
        "is_latest": version == versions[0],
        "year": year,
        "months": [_month(year, month, version, days) for month in range(1, 13)],
        "days": sorted(days.values(), key=lambda day: day.day),
        "is_known": year in version.known_years,
        "week": list(zip(WEEKDAYS, version.week, strict=True)),
        "today": timezone.localdate(),
        "may_edit": is_manager(person_of(request)) and version == versions[0],
    }
    return render(request, "accounts/calendar.html", context)


@form_view
@require(is_manager)
def week_edit(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(BusinessCalendar.objects.select_related("customer"), pk=pk)
    latest = _version(list(found.versions.all()), "")
    form = WeekForm(request.POST or None, week=latest.week, workday_hours=latest.workday_hours)
    if request.method == "POST" and form.is_valid():
        calendars.add_version(
            calendar=found,
            week=form.week(),
            workday_hours=form.cleaned_data["workday"],
            days=calendars.days_of(latest),
            known_years=latest.known_years,
            reason=form.cleaned_data["reason"],
            actor=person_of(request),
            now=timezone.now(),
        )
        messages.success(request, _("A new version is in force. Running clocks keep the version they began with."))
        return redirect("accounts:calendar", pk)
    return _form(request, form, _("Weekly hours"), f"/calendars/{pk}/")


@form_view
@require(is_manager)
def day_edit(request: HttpRequest, pk: int, day: str) -> HttpResponse:
    found = get_object_or_404(BusinessCalendar.objects.select_related("customer"), pk=pk)
    latest, wanted = _version(list(found.versions.all()), ""), _day(day)
    days = calendars.days_of(latest)
    known = next((entry for entry in days if entry.day == wanted), None)
    form = DayForm(request.POST or None, initial=_day_initial(known))
    if request.method == "POST" and form.is_valid():
        calendars.add_version(
            calendar=found,
            week=latest.week,
            workday_hours=latest.workday_hours,
            days=_with_day(days, wanted, form),
            known_years=latest.known_years,
            reason=f"{wanted}: {form.cleaned_data['source']}"[:200],
            actor=person_of(request),
            now=timezone.now(),
        )
        messages.success(request, _("A new version is in force. Running clocks keep the version they began with."))
        return redirect(f"/calendars/{pk}/?year={wanted.year}")
    return _form(request, form, f"{wanted} {WEEKDAYS[wanted.weekday()]}", f"/calendars/{pk}/?year={wanted.year}")


@require_POST
@require(is_manager)
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    source = get_object_or_404(BusinessCalendar.objects, pk=pk)
    asked = request.POST.get("customer", "")
    customer = get_object_or_404(Customer.objects, pk=int(asked) if asked.isdigit() and len(asked) < 10 else 0)
    version = _version(list(source.versions.all()), "")
    made = calendars.copy_for(customer=customer, source=version, actor=person_of(request), now=timezone.now())
    messages.success(request, _("%(customer)s has a calendar of its own now.") % {"customer": customer})
    return redirect("accounts:calendar", made.pk)


def _form(request: HttpRequest, form: object, title: str, back: str) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    return render(request, "accounts/form.html", {"form": form, "title": title, "back": back}, status=status)


def _version(versions: list[CalendarVersion], asked: str) -> CalendarVersion:
    """The version asked for by number, else the latest; 404 for a calendar that has none."""
    if not versions:
        raise Http404
    return next((version for version in versions if str(version.number) == asked), versions[0])


def _year(text: str) -> int:
    year = int(text) if text.isdigit() and len(text) == 4 else timezone.localdate().year
    return min(max(year, 2000), 2100)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Http404 from None


def _day_initial(known: calendars.Day | None) -> dict[str, str]:
    if known is None:
        return {"kind": "off"}
    return {"kind": "worked" if known.is_workday else "off", "name": known.name, "source": known.source}


def _with_day(days: list[calendars.Day], wanted: date, form: DayForm) -> list[calendars.Day]:
    data = form.cleaned_data
    others = [entry for entry in days if entry.day != wanted]
    if data["kind"] == "week":
        return others
    return [*others, calendars.Day(wanted, data["kind"] == "worked", data["name"], data["source"])]


def _month(year: int, month: int, version: CalendarVersion, days: dict[date, CalendarDay]) -> Month:
    weeks = Weeks(firstweekday=0).monthdatescalendar(year, month)
    cells = tuple(tuple(_cell(day, month, version, days.get(day)) for day in line) for line in weeks)
    return Month(date(year, month, 1), cells)


def _cell(day: date, month: int, version: CalendarVersion, special: CalendarDay | None) -> DayCell | None:
    if day.month != month:
        return None
    if special is not None and special.is_approved:
        kind = "makeup" if special.is_workday else "holiday"
        name = _(special.name) if special.name else ""
        return DayCell(day, kind, f"{name} · {special.source}")
    doubt = _("not in force: the sources differ") if special is not None else ""
    return DayCell(day, "work" if version.week[day.weekday()] else "off", doubt)
