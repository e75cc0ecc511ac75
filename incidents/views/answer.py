"""The link in a message by which its reader takes the incident: GET shows it, POST acts (previews of chats GET)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import limiter, signin
from accounts.errors import DomainError
from accounts.models import User
from incidents.models import Incident
from incidents.services import answering
from notify import links


@dataclass(frozen=True)
class Asked:
    """What the link asks of whom. `person` None: a group's link, and nobody of the provider is signed in."""

    question: links.Question
    incident: Incident
    person: User | None
    problem: str


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_not_required
def answer(request: HttpRequest, token: str) -> HttpResponse:
    question = links.find(token)
    person = None if question is None else _reader(request, question)
    incident = None if question is None else answering.incident_behind(question, person)
    if question is None or incident is None:
        return limiter.too_many(request) if limiter.failed(request, "answer") else _shut(request)
    now = timezone.now()
    asked = Asked(question, incident, person, answering.problem_of(question, incident, now=now))
    if request.method != "POST" or asked.problem:
        return render(request, "incidents/answer.html", _context(asked, token), status=410 if asked.problem else 200)
    if person is None:
        return redirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
    try:
        answering.answer_by_link(question=question, person=person, address=request.META.get("REMOTE_ADDR", ""), now=now)
    except DomainError as refusal:
        context = _context(Asked(question, incident, person, refusal.message), token)
        return render(request, "incidents/answer.html", context, status=409)
    return render(request, "incidents/answer.html", _context(asked, token) | {"is_done": True})


def _reader(request: HttpRequest, question: links.Question) -> User | None:
    """The person whom the link came to; of a group's link whoever of the provider is signed in here."""
    if question.is_personal:
        return question.delivery.user
    person = request.user if isinstance(request.user, User) else None
    if person is None or not person.is_active or not person.is_provider:
        return None
    if signin.lacks_second_factor(person):
        raise PermissionDenied
    return person


def _shut(request: HttpRequest) -> HttpResponse:
    return render(request, "incidents/answer_shut.html", status=404)


def _context(asked: Asked, token: str) -> dict[str, object]:
    return {
        "incident": asked.incident,
        "person": asked.person,
        "problem": asked.problem,
        "question": asked.question,
        "sign_in": f"{reverse('account_login')}?{urlencode({'next': reverse('incidents:answer', args=[token])})}",
    }
