"""What came from unknown senders: the queue, its place on the board, and saying whose it is."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import scope
from accounts.models import Customer, Severity, User
from accounts.permissions import person_of, require
from incidents.forms import TriageForm
from incidents.models import InboundMessage
from incidents.permissions import may_manage_ways_in
from incidents.services import triage

ON_BOARD = 5
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@require(may_manage_ways_in)
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    with scope.platform(triage.WHY):
        rows = list(triage.held_for(person)[:200])
        return render(request, "incidents/triage.html", {"rows": rows, "now": timezone.now()})


@require_safe
@require(may_manage_ways_in)
def on_board(request: HttpRequest) -> HttpResponse:
    """The fragment over the board: what waits, with its clock."""
    person = person_of(request)
    with scope.platform(triage.WHY):
        rows = list(triage.held_for(person)[: ON_BOARD + 1])
        context = {"rows": rows[:ON_BOARD], "more": len(rows) > ON_BOARD, "now": timezone.now()}
        return render(request, "incidents/_triage_on_board.html", context)


@form_view
@require(may_manage_ways_in)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One message, and the form that says whose it is. One that is settled leads to its incident or the log."""
    person = person_of(request)
    message = _held(person, pk)
    customers = Customer.objects.exclude(status=Customer.Status.LEFT)
    guess = message.data.get("guess_customer")
    initial = {
        "customer": message.customer_id or (guess if isinstance(guess, int) else None),
        "severity": message.source.default_severity,
    }
    form = TriageForm(request.POST or None, customers=customers, message=message, initial=initial)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        incident = triage.assign(
            message=message,
            customer=said["customer"],
            person=form.person,
            severity=Severity(said.get("severity") or message.source.default_severity),
            actor=person,
            now=timezone.now(),
        )
        if incident is None:
            messages.success(request, _("Nothing was to be opened: the alarms have ended."))
            return redirect("incidents:triage")
        messages.success(request, _("%(number)s is open.") % {"number": incident.number})
        return redirect("incidents:detail", incident.pk)
    context = {"message": message, "form": form, "now": timezone.now(), "guess": form.guessed}
    return render(request, "incidents/triage_one.html", context, status=422 if form.errors else 200)


@require_POST
@require(may_manage_ways_in)
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    triage.reject(message=_held(person, pk), actor=person, now=timezone.now())
    messages.success(request, _("Rejected. It stays in the log."))
    return redirect("incidents:triage")


def _held(person: User, pk: int) -> InboundMessage:
    """One that has no customer yet is everybody's of the provider; foreign or unknown is 404."""
    with scope.platform(triage.WHY):
        rows = InboundMessage.objects.select_related("source", "customer", "incident")
        message: InboundMessage | None = rows.filter(pk=pk).first()
    if message is None or not (message.customer_id is None or scope.of(person).allows(message.customer_id)):
        raise Http404
    if message.customer_id is None and not may_manage_ways_in(person):
        raise PermissionDenied
    return message
