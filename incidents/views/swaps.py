"""Swaps of shifts: what I asked, what I am asked, and asking."""

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.models import ShiftSwap, User
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.services import feeds, roster, swaps
from incidents.duty_forms import SwapForm
from incidents.services import duty_watch
from incidents.views.incident import form_view

SHOWN = 30


@form_view
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    """The list, and the form that asks."""
    person, now = person_of(request), timezone.now()
    spans = [span for span in roster.everywhere(start=now, end=now + feeds.AHEAD) if span.user.is_provider]
    form = SwapForm(request.POST or None, person=person, spans=spans)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        duty_watch.ask_swap(
            stretch=said["stretch"],
            colleague=said["colleague"],
            in_return=said["back"],
            note=said["note"],
            asker=person,
            now=now,
        )
        messages.success(request, _("%(name)s is asked.") % {"name": said["colleague"].name})
        return redirect("incidents:swaps")
    has_shifts = any(span.user.pk == person.pk for span in spans)
    context = {"form": form, "swaps": _mine(person), "has_shifts": has_shifts, "now": now}
    return render(request, "incidents/swaps.html", context, status=422 if form.errors else 200)


def _mine(person: User) -> list[tuple[ShiftSwap, str, str]]:
    rows = _reachable(person)
    shown = []
    for swap in rows.select_related("asker", "colleague", "customer")[:SHOWN]:
        stretch, back = swaps.stretches(swap)
        shown.append((swap, duty_watch.span_line(stretch), duty_watch.span_line(back) if back else ""))
    return shown


def _reachable(person: User) -> QuerySet[ShiftSwap]:
    """One's own, and for managers everybody's: they may decide for somebody who cannot."""
    rows = ShiftSwap.objects.all()
    return rows if is_manager(person) else rows.filter(Q(asker=person) | Q(colleague=person))


def _get(request: HttpRequest, pk: int) -> ShiftSwap:
    """A swap that one has to do with; any other is 404."""
    return get_object_or_404(_reachable(person_of(request)), pk=pk)


@require_POST
@require(is_provider)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    accept = request.POST.get("accept") == "1"
    duty_watch.answer_swap(swap=_get(request, pk), accept=accept, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The roster is changed.") if accept else _("Declined; the roster stays as it was."))
    return redirect("incidents:swaps")


@require_POST
@require(is_provider)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    swaps.withdraw(swap=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Withdrawn."))
    return redirect("incidents:swaps")
