"""What people press on an incident: each verb is a small form, on its own page or in a dialog of the incident's."""

from datetime import datetime

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.fragments import is_fragment
from accounts.models import Severity, User
from accounts.permissions import is_provider, person_of
from incidents import services
from incidents.duty import eligible_assignees
from incidents.forms import (
    AssignForm,
    CloseForm,
    ConfirmForm,
    NoteForm,
    RatingForm,
    ReasonForm,
    ReopenForm,
    ReportForm,
    ResolveForm,
    SeverityForm,
    WaitForm,
)
from incidents.models import Clock, Incident, Satisfaction
from incidents.permissions import may_ever
from incidents.states import Verb
from incidents.views.answers import answer
from incidents.views.grouping import GROUPING
from incidents.views.incident import get_incident
from incidents.views.pressing import Press, Said
from incidents.views.record_verbs import RECORD_VERBS
from incidents.views.request_verbs import REQUEST_VERBS


def _assign(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return services.assign(incident=incident, assignee=said["assignee"], version=said["version"], actor=actor, now=now)


def _severity(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return services.change_severity(
        incident=incident,
        severity=Severity(said["severity"]),
        reason=said["reason"],
        version=said["version"],
        actor=actor,
        now=now,
    )


def _resolve(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return services.resolve(
        incident=incident,
        resolution=said["resolution"],
        cause=said["cause"],
        proof=said["proof"],
        files=said["attachments"],
        version=said["version"],
        actor=actor,
        now=now,
    )


def _given(incident: Incident) -> dict[str, object]:
    given = Satisfaction.objects.filter(incident=incident).first()
    return {} if given is None else {"score": given.score, "words": given.words}


CONFIRM = Press(
    Verb.CLOSE,
    _("Confirm and close"),
    _("Confirm and close"),
    _("Closed. Thank you."),
    lambda data, _incident: ConfirmForm(data),
    lambda incident, said, actor, now: services.confirm(
        incident=incident, remark=said["remark"], score=said["score"], actor=actor, now=now
    ),
)
"""How the customer closes."""

PRESSES = {
    press.verb: press
    for press in (
        *GROUPING,
        *REQUEST_VERBS,
        *RECORD_VERBS,
        Press(
            Verb.ACKNOWLEDGE,
            _("Acknowledge"),
            _("Acknowledge"),
            _("You have it: the response clock has stopped."),
            lambda data, _incident: forms.Form(data),
            lambda incident, _said, actor, now: services.acknowledge(incident=incident, actor=actor, now=now),
        ),
        Press(
            Verb.ASSIGN,
            _("Assign"),
            _("Assign"),
            _("Assigned."),
            lambda data, incident: AssignForm(
                data,
                people=eligible_assignees(incident.customer_id),
                initial={"assignee": incident.assignee_id, "version": incident.version},
            ),
            _assign,
        ),
        Press(
            Verb.CHANGE_SEVERITY,
            _("Change severity"),
            _("Change severity"),
            _("The severity is changed and the clocks are counted anew."),
            lambda data, incident: SeverityForm(
                data, initial={"severity": incident.severity, "version": incident.version}
            ),
            _severity,
        ),
        Press(
            Verb.WAIT,
            _("Ask the customer"),
            _("Ask and wait"),
            _("The customer is asked; the clocks stand still until the reply."),
            lambda data, _incident: WaitForm(data),
            lambda incident, said, actor, now: services.wait_for_customer(
                incident=incident, question=said["question"], actor=actor, now=now
            ),
        ),
        Press(
            Verb.RESUME,
            _("Resume work"),
            _("Resume work"),
            _("The clocks run on."),
            lambda data, _incident: NoteForm(data),
            lambda incident, said, actor, now: services.resume(
                incident=incident, note=said["note"], actor=actor, now=now
            ),
        ),
        Press(
            Verb.RESOLVE,
            _("Resolve"),
            _("Resolve"),
            _("Resolved. The customer is asked to confirm."),
            lambda data, incident: ResolveForm(data, initial={"version": incident.version}),
            _resolve,
        ),
        Press(
            Verb.CLOSE,
            pgettext_lazy("incident", "Close"),
            pgettext_lazy("incident", "Close"),
            _("Closed."),
            lambda data, _incident: CloseForm(data),
            lambda incident, said, actor, now: services.close(
                incident=incident, remark=said["remark"], actor=actor, now=now
            ),
        ),
        Press(
            Verb.REPORT,
            _("Stage report"),
            _("Send to the customer"),
            _("Reported. The next report is due from now on."),
            lambda data, _incident: ReportForm(data),
            lambda incident, said, actor, now: services.report_stage(
                incident=incident, stage=said["stage"], body=said["body"], actor=actor, now=now
            ),
        ),
        Press(
            Verb.RATE,
            _("Rate the solution"),
            _("Rate the solution"),
            _("Thank you. You can change it for some days."),
            lambda data, incident: RatingForm(data, initial=_given(incident)),
            lambda incident, said, actor, now: services.rate(
                incident=incident, score=said["score"], words=said["words"], actor=actor, now=now
            ),
        ),
        Press(
            Verb.REOPEN,
            _("Reopen"),
            _("Reopen"),
            _("Open again."),
            lambda data, _incident: ReopenForm(data),
            lambda incident, said, actor, now: services.reopen(
                incident=incident, reason=said["reason"], actor=actor, now=now
            ),
        ),
    )
}


@require_http_methods(["GET", "HEAD", "POST"])
def press(request: HttpRequest, pk: int, verb: Verb) -> HttpResponse:
    """Show the verb's form, or do what it says."""
    incident, person = get_incident(pk), person_of(request)
    if not may_ever(person, verb):
        raise PermissionDenied
    pressed = CONFIRM if verb is Verb.CLOSE and not is_provider(person) else PRESSES[verb]
    form = pressed.make_form(request.POST if request.method == "POST" else None, incident)
    form.files = request.FILES
    if request.method == "POST" and form.is_valid():
        pressed.act(incident, form.cleaned_data, person, timezone.now())
        return answer(request, incident, str(pressed.done))
    context = {"incident": incident, "form": form, "press": pressed, "asks": bool(form.visible_fields())}
    name = "incidents/_press.html" if is_fragment(request) else "incidents/press.html"
    return render(request, name, context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def explain(request: HttpRequest, pk: int, clock_id: int) -> HttpResponse:
    """Why a deadline was missed."""
    incident, person = get_incident(pk), person_of(request)
    if not may_ever(person, Verb.EXPLAIN):
        raise PermissionDenied
    clock = get_object_or_404(Clock.objects.of_provider().missed(), incident=incident, pk=clock_id)
    known = {"code": clock.breach_code, "note": clock.breach_note}
    form = ReasonForm(request.POST if request.method == "POST" else None, initial=known)
    if request.method == "POST" and form.is_valid():
        services.explain(clock=clock, **form.cleaned_data, actor=person, now=timezone.now())
        return answer(request, incident, gettext("The reason is kept."))
    title = gettext("Why was %(clock)s missed?") % {"clock": clock}
    context = {"incident": incident, "form": form, "press": {"title": title, "button": gettext("Keep the reason")}}
    name = "incidents/_press.html" if is_fragment(request) else "incidents/press.html"
    return render(request, name, context, status=422 if form.errors else 200)
