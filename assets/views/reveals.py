"""Showing a secret once: who asks, who agrees, and the page that nobody caches."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import stepup
from accounts.errors import DomainError
from accounts.permissions import is_provider, person_of
from assets.credential_forms import ReasonForm
from assets.models import RevealRequest
from assets.permissions import can_decide_reveal, can_reveal
from assets.services import revealing
from assets.views.credentials import find, find_to_manage

SECONDS_SHOWN = 30


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reveal(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the secret in the answer to a POST: never in an address, never twice without a new reason."""
    credential, person, now = find(request, pk), person_of(request), timezone.now()
    if not can_reveal(person, credential):
        raise PermissionDenied
    proven_at = stepup.proven_at(request)
    if not stepup.is_fresh(proven_at, now):
        return stepup.prove_again(request)
    form = ReasonForm(request.POST or None)
    context: dict[str, object] = {"credential": credential, "form": form, "seconds": SECONDS_SHOWN}
    request_ = revealing.open_request(credential, person, now) if credential.needs_second_person else None
    is_approved = request_ is not None and request_.state == RevealRequest.State.APPROVED
    try:
        if request.method == "POST" and credential.needs_second_person and request_ is None and form.is_valid():
            revealing.ask(credential=credential, reason=form.cleaned_data["reason"], actor=person, now=now)
            messages.success(request, _("Asked. You are told when a second person has answered."))
            return redirect("assets:credential_reveal", pk)
        if request.method == "POST" and (is_approved or (not credential.needs_second_person and form.is_valid())):
            reason = form.cleaned_data.get("reason", "") if form.is_valid() else ""
            context["secret"] = revealing.reveal(
                credential=credential, reason=reason, proven_at=proven_at, actor=person, now=now
            )
    except DomainError as problem:
        form.add_error(None, problem.message)
    context |= {"request_": request_, "is_approved": is_approved}
    return render(request, "assets/reveal.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def unmark(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask that it be an administrator's login no longer."""
    credential = find_to_manage(request, pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            asked = revealing.ask_to_unmark(
                credential=credential, reason=reason, actor=person_of(request), now=timezone.now()
            )
        except DomainError as problem:
            form.add_error(None, problem.message)
        else:
            messages.success(request, _("Asked. You are told when a second person has answered."))
            return redirect("assets:reveal_request", asked.pk)
    context = {
        "form": form,
        "title": _("No longer an administrator login: %(name)s") % {"name": credential},
        "back": f"/assets/credentials/{pk}/",
    }
    return render(request, "assets/credential_form.html", context, status=422 if form.errors else 200)


@require_safe
def request(request: HttpRequest, pk: int) -> HttpResponse:
    """One request, for whoever asked and for whoever may agree."""
    asked, person, now = _request(request, pk), person_of(request), timezone.now()
    may_decide = can_decide_reveal(person) and asked.asked_by_id != person.pk
    context = {
        "asked": asked,
        "credential": asked.credential,
        "is_open": asked.is_open(now),
        "may_decide": may_decide and asked.state == RevealRequest.State.WAITING and asked.is_open(now),
        "is_mine": asked.asked_by_id == person.pk,
        "shows": asked.kind == RevealRequest.Kind.SHOW,
    }
    return render(request, "assets/reveal_request.html", context)


@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    asked = _request(request, pk)
    is_approved = request.POST.get("answer") == "approve"
    revealing.decide(request=asked, is_approved=is_approved, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Agreed.") if is_approved else _("Refused."))
    return redirect("assets:reveal_request", pk)


def _request(request: HttpRequest, pk: int) -> RevealRequest:
    related = ("credential__asset", "credential__cloud_account", "asked_by", "decided_by", "customer")
    asked = get_object_or_404(RevealRequest.objects.select_related(*related), pk=pk)
    if not is_provider(person_of(request)):
        raise PermissionDenied
    return asked
