"""The approver's inbox, the link that came by mail, and who decides while somebody is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import scope
from accounts.models import User
from accounts.permissions import can_write, person_of, require
from changes import answers
from changes.forms import DecisionForm, DelegationForm
from changes.links import read_token
from changes.models import ApprovalLevel, ApprovalVote, Change, Delegation
from changes.services import approving
from changes.views.pages import answer, get_change

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for one's word, each with all that one has to know; phone first."""
    return _inbox(request, DelegationForm(person=person_of(request)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that waits for one's word, with all that one has to know and the form to give it."""

    change: Change
    details: Sequence[tuple[str, str, bool]]
    form: DecisionForm


def _inbox(request: HttpRequest, form: DelegationForm, status: int = 200) -> HttpResponse:
    person = person_of(request)
    asked = [change.pk for change in approving.waiting_for(person, now=timezone.now())]
    rows = Change.objects.for_lists().in_bulk(asked)
    waiting = [
        Waiting(rows[pk], answers.shown(rows[pk].operation, rows[pk].fields), DecisionForm(auto_id=f"id_{pk}_%s"))
        for pk in asked
    ]
    with scope.platform("delegations that one may end"):
        delegations = list(approving.delegations_of(person).not_over(timezone.localdate()))
    context = {"waiting": waiting, "delegations": delegations, "form": form}
    return render(request, "changes/approvals.html", context, status=status)


@form_view
@require(can_write)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve or refuse, with everything on the page."""
    change, person = get_change(pk), person_of(request)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _decide(request, change, form, person, channel=ApprovalVote.Channel.PORTAL)
        if request.POST.get("from") == "inbox":
            messages.success(request, _("Your decision on %(number)s is kept.") % {"number": change.number})
            return redirect("changes:approvals")
        return answer(request, change, _("Your decision is kept."))
    context = {"change": change, "form": form, "details": answers.shown(change.operation, change.fields)}
    return render(request, "changes/decide.html", context, status=422 if form.errors else 200)


@never_cache
@login_not_required
@form_view
def decide_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The link of one person: looking at it shows, only pressing acts."""
    named = read_token(token)
    person = None if named is None else _person(named[1])
    if named is None or person is None:
        return render(request, "changes/decide_shut.html", status=404)
    with scope.user(person), translation.override(person.language):
        level = ApprovalLevel.objects.current().filter(pk=named[0], lapsed_at=None).first()
        change = None if level is None else get_change(level.change_id)
        waits = change is not None and change.pk in {
            one.pk for one in approving.waiting_for(person, now=timezone.now())
        }
        if change is None or not waits:
            return render(request, "changes/decide_shut.html", {"change": change}, status=410)
        form = DecisionForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            _decide(request, change, form, person, channel=ApprovalVote.Channel.LINK, level_id=named[0])
            return render(request, "changes/decide_done.html", {"change": change, "said": form.cleaned_data["answer"]})
        context = {
            "change": change,
            "form": form,
            "person": person,
            "details": answers.shown(change.operation, change.fields),
        }
        return render(request, "changes/decide_link.html", context, status=422 if form.errors else 200)


@require_POST
@require(can_write)
def delegate(request: HttpRequest) -> HttpResponse:
    """Have a colleague decide on some days, for oneself or for somebody who is ill."""
    person = person_of(request)
    form = DelegationForm(request.POST, person=person)
    if not form.is_valid():
        return _inbox(request, form, 422)
    made = approving.delegate(actor=person, now=timezone.now(), **form.cleaned_data)
    names = {"delegate": made.delegate.name, "principal": made.principal.name}
    messages.success(request, _("On those days %(delegate)s decides for %(principal)s.") % names)
    return redirect("changes:approvals")


@require_POST
@require(can_write)
def end_delegation(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    with scope.platform("delegations that one may end"):
        delegation: Delegation = get_object_or_404(approving.delegations_of(person), pk=pk)
    approving.end_delegation(delegation=delegation, actor=person, now=timezone.now())
    messages.success(request, _("%(principal)s decides alone again.") % {"principal": delegation.principal.name})
    return redirect("changes:approvals")


def _decide(
    request: HttpRequest, change: Change, form: DecisionForm, person: User, *, channel: str, level_id: int | None = None
) -> None:
    approving.decide(
        change=change,
        is_yes=form.cleaned_data["answer"] == "yes",
        words=form.cleaned_data["words"],
        actor=person,
        now=timezone.now(),
        channel=channel,
        ip=request.META.get("REMOTE_ADDR") or None,
        level_id=level_id,
    )


def _person(pk: int) -> User | None:
    with scope.platform("whose link this is"):
        return User.objects.select_related("customer").filter(pk=pk, is_active=True).first()
