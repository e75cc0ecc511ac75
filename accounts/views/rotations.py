"""Rotations as pages, and the addresses under which calendar programs read the roster."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import ical, limiter
from accounts.forms.rotations import RotationForm, initial_of
from accounts.models import RosterFeed, Rotation, User
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.services import feeds, rotations

form_view = require_http_methods(["GET", "HEAD", "POST"])
TRIED = timedelta(days=28)


@dataclass(frozen=True)
class Shown:
    rotation: Rotation
    people: tuple[str, ...]
    rest_people: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    name: str
    starts_at: datetime
    ends_at: datetime


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    names = _names()
    rows = Rotation.objects.filter(ended_at=None).select_related("customer")
    shown = [Shown(row, _named(row.people, names), _named(row.rest_people, names)) for row in rows]
    return render(request, "accounts/rotations.html", {"rotations": shown, "may_edit": is_manager(person_of(request))})


@form_view
@require(is_manager)
def create(request: HttpRequest) -> HttpResponse:
    return _form(request, None)


@form_view
@require(is_manager)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Rotation.objects.filter(ended_at=None).select_related("customer")
    return _form(request, get_object_or_404(rows, pk=pk))


def _form(request: HttpRequest, rotation: Rotation | None) -> HttpResponse:
    now = timezone.now()
    form = RotationForm(request.POST or None, initial=initial_of(rotation, timezone.localtime(now)))
    context: dict[str, object] = {"form": form, "rotation": rotation}
    if request.method == "POST" and form.is_valid():
        made = form.fill(rotation or Rotation())
        if "preview" not in request.POST:
            rotations.save(made=made, actor=person_of(request), now=now)
            messages.success(request, _("Saved. The shifts of the next %(days)d days are laid out.") % {"days": 100})
            return redirect("accounts:rotations")
        context["turns"] = _tried(made, now)
    status = 422 if form.errors else 200
    return render(request, "accounts/rotation_form.html", context, status=status)


def _tried(made: Rotation, now: datetime) -> list[Turn]:
    """The turns of four weeks, from today or from the first day on."""
    names, first = _names(), max(made.first_day, timezone.localdate(now))
    turns = rotations.planned(made, first=first, last=first + TRIED)
    return [Turn(names.get(turn.person, ""), turn.starts_at, turn.ends_at) for turn in turns]


@require_POST
@require(is_manager)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    rotation = get_object_or_404(Rotation.objects.select_related("customer"), pk=pk)
    rotations.end(ended=rotation, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The rotation has ended; what it laid out ahead is out of the roster."))
    return redirect("accounts:rotations")


def _names() -> dict[int, str]:
    return dict(User.objects.filter(customer=None).values_list("pk", "name"))


def _named(pks: list[int], names: dict[int, str]) -> tuple[str, ...]:
    return tuple(names[pk] for pk in pks if pk in names)


# --- calendar programs -----------------------------------------------------------------------------------------------


@form_view
@never_cache
@require(is_provider)
def addresses(request: HttpRequest) -> HttpResponse:
    """One's own addresses; a new one is in this answer and never again."""
    person, url = person_of(request), ""
    if request.method == "POST":
        what = request.POST.get("what", "")
        if what not in RosterFeed.What.values:
            raise Http404
        _feed, token = feeds.give(person=person, what=what, now=timezone.now())
        url = settings.PUBLIC_URL + reverse("accounts:roster_feed", args=[token])
    context = {"feeds": feeds.of(person), "url": url, "kinds": RosterFeed.What.choices}
    return render(request, "accounts/roster_feeds.html", context)


@require_POST
@require(is_provider)
def address_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    feed = next((row for row in feeds.of(person) if row.pk == pk), None)
    if feed is None:
        raise Http404
    feeds.revoke(feed=feed, actor=person, now=timezone.now())
    messages.success(request, _("Nobody reads this address any more."))
    return redirect("accounts:roster_feeds")


@login_not_required
@never_cache
@require_safe
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """The roster for a calendar program, to whoever knows the address."""
    now = timezone.now()
    found = feeds.find(token, now=now)
    if found is None:
        if limiter.failed(request, "calendar address"):
            return limiter.too_many(request)
        raise Http404
    with translation.override(found.user.language):
        content = ical.calendar(_("On-call roster"), feeds.events(found, now=now), now=now)
    return HttpResponse(content, content_type="text/calendar; charset=utf-8")
