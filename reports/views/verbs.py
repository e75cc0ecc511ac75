"""A report of any family while it is written, and what people press on it; what needs a word has its own page."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.permissions import is_provider, person_of, require
from reports.forms import ReasonForm, SendForm, SignForm
from reports.models import WrittenReport
from reports.permissions import may_ever
from reports.services import families, reaching, sending, writing
from reports.states import Verb
from reports.views.reaching import about, get_report

Act = Callable[[WrittenReport, str, User, datetime], object]
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def detail(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    """The workshop for the provider; for the customer's people the latest issue that was sent."""
    report, person = get_report(family, pk), person_of(request)
    own = families.of(report)
    issues = list(own.issue.objects.filter(report=report).select_related("file", "signed_by"))
    if not is_provider(person):
        if not issues:
            raise Http404
        return redirect("reports:issue", family, report.pk, issues[0].pk)
    context = {
        **about(report, person),
        **own.workshop(report),
        "issues": issues,
        "receipts": sending.receipts(issues[0]) if issues else [],
        "nobody_has_it": reaching.reached_nobody(report),
        "now": timezone.now(),
        "drawn_with": request.GET.get("figures"),  # the stamp of the figures on the page that asks how far it is
    }
    return render(request, own.desk, context)


@require_POST
@require(is_provider)
def submit(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    writing.submit(report=get_report(family, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The managers are asked to review and sign it."))
    return redirect("reports:detail", family, pk)


@require_POST
@require(is_provider)
def restore(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    writing.restore(report=get_report(family, pk), actor=person_of(request), now=timezone.now())
    return redirect("reports:detail", family, pk)


@form_view
def give_back(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    def act(report: WrittenReport, reason: str, actor: User, now: datetime) -> object:
        return writing.give_back(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, get_report(family, pk), Verb.RETURN, _("Return to the author"), act)


@form_view
def reissue(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    def act(report: WrittenReport, reason: str, actor: User, now: datetime) -> object:
        return writing.reissue(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, get_report(family, pk), Verb.REISSUE, _("Issue again"), act)


@form_view
def withdraw(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    def act(report: WrittenReport, reason: str, actor: User, now: datetime) -> object:
        return writing.withdraw(report=report, reason=reason, actor=actor, now=now)

    return _with_reason(request, get_report(family, pk), Verb.WITHDRAW, _("No report is needed"), act)


@form_view
def sign(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    """Shows what is going to be signed; the signature is by the button, under exactly what was shown."""
    report, person = get_report(family, pk), person_of(request)
    if not may_ever(person, Verb.SIGN):
        raise PermissionDenied
    form, refusal = SignForm(request.POST if request.method == "POST" else None), ""
    if request.method == "POST" and form.is_valid():
        address, shown = request.META.get("REMOTE_ADDR") or None, request.POST.get("shown", "")
        try:
            writing.sign(report=report, actor=person, now=timezone.now(), address=address, shown=shown)
        except writing.ChangedError as changed:
            form, refusal = SignForm(), changed.message
        else:
            messages.success(request, _("Signed. The document is being made; then it can be sent."))
            return redirect("reports:detail", family, pk)
    context = {
        "shown": writing.digest_to_sign(report),  # before what it is about: never newer than what the page shows
        **about(report, person),
        **families.of(report).workshop(report),
        "form": form,
        "refusal": refusal,
    }
    return render(request, "reports/sign.html", context, status=422 if form.errors or refusal else 200)


@form_view
def send(request: HttpRequest, family: str, pk: int) -> HttpResponse:
    report, person = get_report(family, pk), person_of(request)
    if not may_ever(person, Verb.SEND):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else None
    form = SendForm(data, people=sending.candidates(report), usual=families.of(report).usual(report))
    if request.method == "POST" and form.is_valid():
        sending.send(report=report, people=form.chosen(), actor=person, now=timezone.now())
        messages.success(request, _("Sent."))
        return redirect("reports:detail", family, pk)
    context = {"report": report, "form": form, "title": _("Send to the customer"), "button": _("Send")}
    return render(request, "reports/press.html", context, status=422 if form.errors else 200)


def _with_reason(request: HttpRequest, report: Any, verb: Verb, title: str, act: Act) -> HttpResponse:
    person = person_of(request)
    if not may_ever(person, verb):
        raise PermissionDenied
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        act(report, form.cleaned_data["reason"], person, timezone.now())
        return redirect("reports:detail", report.FAMILY, report.pk)
    context = {"report": report, "form": form, "title": title, "button": title}
    return render(request, "reports/press.html", context, status=422 if form.errors else 200)
