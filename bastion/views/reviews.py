"""Commands and sessions that wait for somebody's word."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.permissions import can_write, is_provider, person_of, require
from accounts.refusals import in_form
from bastion.access_forms import DecisionForm
from bastion.models import CommandReview
from bastion.services import reviewing

MOST_WAITING: Final = 200
SORT: Final[dict[str, tables.SortBy]] = {
    "asked": "-asked_at",
    "person": ("session__person__name", "-asked_at"),
    "resource": ("session__asset__name", "-asked_at"),
}


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """What waits stands first, with its clock."""
    person, now = person_of(request), timezone.now()
    seen = reviewing.seen_by(person).joined()
    page = tables.page(
        request,
        seen,
        sort=SORT,
        default="asked",
        search=("text", "session__person__name", "session__asset__name"),
        filters={"state": tables.Choice(_("State"), CommandReview.State.choices, "state")},
    )
    waiting = reviewing.waiting_for(person, now=now).joined()[:MOST_WAITING]
    context = {"page": page, "waiting": waiting, "shows_customer": is_provider(person)}
    return render(request, "bastion/reviews.html", context)


@require_safe
@require(can_write)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _show(request, _get(request, pk), DecisionForm())


@require_POST
@require(can_write)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    review, person = _get(request, pk), person_of(request)
    if not reviewing.may_answer(person, review):
        raise PermissionDenied
    form, said = DecisionForm(request.POST), request.POST.get("answer")
    if not form.is_valid() or said not in ("yes", "no"):
        return _show(request, review, form, status=422)
    is_allowed, words = said == "yes", form.cleaned_data["words"]
    with in_form(form):
        reviewing.answer(review=review, is_allowed=is_allowed, words=words, actor=person, now=timezone.now())
        if review.is_login:
            done = _("Let in.") if is_allowed else _("Refused: the session is over.")
        else:
            done = _("Allowed: the command runs.") if is_allowed else _("Denied: the command is cancelled.")
        messages.success(request, done)
        return redirect("bastion:reviews")
    return _show(request, review, form, status=422)


def _get(request: HttpRequest, pk: int) -> CommandReview:
    return get_object_or_404(reviewing.seen_by(person_of(request)).joined(), pk=pk)


def _show(request: HttpRequest, review: CommandReview, form: DecisionForm, status: int = 200) -> HttpResponse:
    is_open = review.is_open(timezone.now())
    context = {
        "review": review,
        "form": form,
        "is_open": is_open,
        "may_answer": is_open and reviewing.may_answer(person_of(request), review),
    }
    return render(request, "bastion/review.html", context, status=status)
