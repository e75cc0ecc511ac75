"""Announcements: the provider writes, schedules and withdraws them; customers read theirs (R132, R133)."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import history, scope, tables
from accounts.permissions import is_manager, is_provider, person_of, require
from incidents.announcement_forms import AnnouncementForm, ScheduleForm
from incidents.models import Announcement, AnnouncementCopy, AnnouncementKind, AnnouncementReading
from incidents.services import announcing

form_view = require_http_methods(["GET", "HEAD", "POST"])
BANNERS = 3


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The provider sees what it wrote; a customer's people see what they were told."""
    kinds = tables.Choice(_("Kind"), AnnouncementKind.choices, "kind")
    if is_provider(person_of(request)):
        with scope.platform(announcing.WHY):
            states = tables.Choice(_("State"), Announcement.State.choices, "state")
            page = tables.page(
                request,
                Announcement.objects.filter(customer=None).select_related("author"),
                sort={"at": "pk", "title": "title", "state": "state"},
                default="-at",
                search=["title", "body"],
                filters={"state": states, "kind": kinds},
            )
        context = {"page": page, "may_write": is_manager(person_of(request))}
        return render(request, "incidents/announcements.html", context)
    unread = AnnouncementReading.objects.filter(copy=OuterRef("pk"), user=person_of(request), read_at=None)
    received_page = tables.page(
        request,
        AnnouncementCopy.objects.filter(withdrawn_at=None).annotate(is_unread=Exists(unread)),
        sort={"at": "published_at", "title": "title"},
        default="-at",
        search=["title", "body"],
        filters={"kind": kinds},
    )
    return render(request, "incidents/announcements_received.html", {"page": received_page, "now": timezone.now()})


@form_view
@require(is_manager)
def write(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """A new draft, or another version of one."""
    known = None if pk is None else _own(pk)
    form = AnnouncementForm(request.POST or None, announcement=known)
    if request.method == "POST" and form.is_valid():
        saved = announcing.save(announcement=known, details=form.details, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved as a draft. Look at whom it concerns, then publish it."))
        return redirect("incidents:announcement", saved.pk)
    context = {"form": form, "announcement": known}
    return render(request, "incidents/announcement_form.html", context, status=422 if form.errors else 200)


@require_safe
@require(is_provider)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """As customers see it, whom it concerns, and who has read it: of the customers in the person's reach."""
    announcement = _own(pk)
    readings = AnnouncementReading.objects.filter(copy__announcement_id=pk).select_related("user", "customer")
    if tables.wants_csv(request):
        return tables.export_csv(readings, _columns(), "readers")
    with scope.platform(announcing.WHY):
        changes = history.of(announcement)
    context = {
        "announcement": announcement,
        "audience": announcing.audience(announcement) if announcement.is_editable else (),
        "readings": readings[:500],
        "counts": readings.aggregate(total=Count("pk"), read=Count("pk", filter=Q(read_at__isnull=False))),
        "changes": changes,
        "schedule": ScheduleForm(),
        "may_write": is_manager(person_of(request)),
    }
    return render(request, "incidents/announcement.html", context)


def _columns() -> dict[str, Callable[[AnnouncementReading], object]]:
    return {
        _("Customer"): lambda row: row.customer,
        _("Full name"): lambda row: row.user.name,
        _("E-mail"): lambda row: row.user.email,
        _("Read at"): lambda row: row.read_at,
    }


@require_POST
@require(is_manager)
def publish(request: HttpRequest, pk: int) -> HttpResponse:
    form = ScheduleForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("This is no time. Nothing was published."))
        return redirect("incidents:announcement", pk)
    done = announcing.schedule(
        announcement=_own(pk), at=form.cleaned_data["at"], actor=person_of(request), now=timezone.now()
    )
    is_out = done.state == Announcement.State.PUBLISHED
    messages.success(request, _("It is published.") if is_out else _("It will be published at the time you chose."))
    return redirect("incidents:announcement", pk)


@require_POST
@require(is_manager)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    announcing.withdraw(announcement=_own(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("It is withdrawn and no longer on any page."))
    return redirect("incidents:announcement", pk)


@require_safe
def received(request: HttpRequest, pk: int) -> HttpResponse:
    copy = get_object_or_404(AnnouncementCopy.objects, pk=pk)
    mine = AnnouncementReading.objects.filter(copy=copy, user=person_of(request)).first()
    return render(request, "incidents/announcement_received.html", {"copy": copy, "mine": mine})


@require_POST
def read(request: HttpRequest, pk: int) -> HttpResponse:
    copy = get_object_or_404(AnnouncementCopy.objects, pk=pk)
    announcing.read(copy=copy, person=person_of(request), now=timezone.now())
    if getattr(request, "htmx", False):
        return HttpResponse(status=204)
    return redirect("incidents:announcement_received", pk)


@require_safe
def banner(request: HttpRequest) -> HttpResponse:
    """What stands over every page of a customer until it is over."""
    person = person_of(request)
    if is_provider(person):
        return HttpResponse()
    unread = AnnouncementReading.objects.filter(user=person, read_at=None).values("copy")
    standing = AnnouncementCopy.objects.standing(timezone.now()).filter(pk__in=unread)
    return render(request, "incidents/_banner.html", {"copies": standing[:BANNERS]})


def _own(pk: int) -> Announcement:
    with scope.platform(announcing.WHY):
        return get_object_or_404(Announcement.objects.filter(customer=None).select_related("author"), pk=pk)
