"""What people press on an accident report; those that need a word have a page of their own."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.permissions import is_provider, person_of, require
from reports.forms import ReasonForm, SendForm, SignForm
from reports.models import AccidentReport
from reports.permissions import may_ever
from reports.services import accidents, sending
from reports.states import Verb
from reports.views.accidents import about, get_report

Act = Callable[[AccidentReport, str, User, datetime], object]
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_POST
@require(is_provider)
def submit(request: HttpRequest, pk: int) -> HttpResponse:
    accidents.submit(report=get_report(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The managers are asked to review and sign it."))
    return redirect("reports:accident", pk)


@require_POST
@require(is_provider)
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    accidents.restore(report=get_report(pk), actor=person_of(request), now=timezone.now())
    return redirect("reports:accident", pk)


@form_view
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    def act(report: AccidentReport, reason: str, actor: User, now: datetime) -> object:
        return accidents.give_back(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, pk, Verb.RETURN, _("Return to the author"), act)


@form_view
def reissue(request: HttpRequest, pk: int) -> HttpResponse:
    def act(report: AccidentReport, reason: str, actor: User, now: datetime) -> object:
        return accidents.reissue(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, pk, Verb.REISSUE, _("Issue again"), act)


@form_view
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    def act(report: AccidentReport, reason: str, actor: User, now: datetime) -> object:
        return accidents.withdraw(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, pk, Verb.WITHDRAW, _("No report is needed"), act)


@form_view
def sign(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows what is going to be signed; the signature is by the button."""
    report, person = get_report(pk), person_of(request)
    if not may_ever(person, Verb.SIGN):
        raise PermissionDenied
    form = SignForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        address = request.META.get("REMOTE_ADDR") or None
        accidents.sign(report=report, actor=person, now=timezone.now(), address=address)
        messages.success(request, _("Signed. The document is being made; then it can be sent."))
        return redirect("reports:accident", pk)
    context = {**about(report, person), "form": form}
    return render(request, "reports/sign.html", context, status=422 if form.errors else 200)


@form_view
def send(request: HttpRequest, pk: int) -> HttpResponse:
    report, person = get_report(pk), person_of(request)
    if not may_ever(person, Verb.SEND):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else None
    form = SendForm(data, people=sending.candidates(report), usual=sending.usual(report))
    if request.method == "POST" and form.is_valid():
        sending.send(report=report, people=form.chosen(), actor=person, now=timezone.now())
        messages.success(request, _("Sent."))
        return redirect("reports:accident", pk)
    context = {"report": report, "form": form, "title": _("Send to the customer"), "button": _("Send")}
    return render(request, "reports/press.html", context, status=422 if form.errors else 200)


def _with_reason(request: HttpRequest, pk: int, verb: Verb, title: str, act: Act) -> HttpResponse:
    report, person = get_report(pk), person_of(request)
    if not may_ever(person, verb):
        raise PermissionDenied
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        act(report, form.cleaned_data["reason"], person, timezone.now())
        return redirect("reports:accident", pk)
    context = {"report": report, "form": form, "title": title, "button": title}
    return render(request, "reports/press.html", context, status=422 if form.errors else 200)
