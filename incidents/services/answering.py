"""What people answer to our messages: a key on the telephone or a link takes the incident, as the button does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from incidents import contacting
from incidents.models import Incident, IncidentState
from incidents.services.handling import acknowledge
from incidents.states import State
from notify.channels.receipt import Report
from notify.links import Question
from notify.services import delivering, receipts
from notify.services.receipts import Answer

log = logging.getLogger(__name__)
ACKNOWLEDGE = "acknowledge"
KEY_YES = "1"
ABOUT = "incident:"


def about(incident_id: int) -> str:
    """How a message names the incident that it is about."""
    return f"{ABOUT}{incident_id}"


def incident_of(named: str) -> int | None:
    """The incident that a message is about; None when it is about something else."""
    number = named.removeprefix(ABOUT)
    return int(number) if named.startswith(ABOUT) and number.isdigit() else None


def take_reports(*, medium: str, reports: Iterable[Report], now: datetime) -> int:
    """Take receipts that the provider pushed, and act on what people answered; returns how many were news."""
    answers = receipts.take(medium=medium, reports=reports, now=now)
    act_on(answers, now=now)
    return len(answers)


def ask_for_reports(*, now: datetime) -> int:
    """The same for those that did not come by themselves."""
    answers = receipts.ask(now=now)
    act_on(answers, now=now)
    return len(answers)


def act_on(answers: Iterable[Answer], *, now: datetime) -> None:
    """Go on with the calls to a customer's contacts, and do what people of the provider asked for by a key.

    What failed for good by its receipt may have been the last hope of reaching a customer.
    """
    for answer in answers:
        if answer.delivery.customer_id is not None:
            with scope.customer(answer.delivery.customer_id):
                contacting.take_answer(answer, now=now)
        if answer.is_last:
            delivering.alarm_if_unheard(answer.delivery, now=now)
        person = answer.delivery.user
        if person is None or not answer.was_reached or KEY_YES not in answer.key_pressed:
            continue
        for message in answer.about:
            incident_id = incident_of(message.about)
            if message.asks == ACKNOWLEDGE and incident_id is not None:
                _acknowledge(incident_id, person, now)


def incident_behind(question: Question, person: User | None) -> Incident | None:
    """The incident that a link asks about, within the reach of its reader; of a group's link, of its customer."""
    incident_id = incident_of(question.delivery.about)
    if incident_id is None or question.delivery.asks != ACKNOWLEDGE or question.delivery.customer_id is None:
        return None
    reach = scope.customer(question.delivery.customer_id) if person is None else scope.user(person)
    with reach:
        found: Incident | None = (
            Incident.objects.select_related("customer", "acknowledged_by", "assignee").filter(pk=incident_id).first()
        )
    return found


def problem_of(question: Question, incident: Incident, *, now: datetime) -> str:
    """Why the link does nothing any more, in words; "" while it does. Who takes the incident ends every link to it."""
    person = question.delivery.user
    if person is not None and not person.is_active:
        return _("This access has ended.")
    taken_at = incident.acknowledged_at
    if taken_at is not None and taken_at >= question.delivery.created_at and incident.acknowledged_by is not None:
        return _("%(name)s took %(number)s at %(time)s. There is nothing left to do here.") % {
            "name": incident.acknowledged_by.name,
            "number": incident.number,
            "time": f"{timezone.localtime(taken_at):%m-%d %H:%M:%S}",
        }
    if incident.stage is not State.OPEN:
        label = IncidentState(incident.state).label
        return _("%(number)s is now “%(state)s”.") % {"number": incident.number, "state": label}
    if question.has_expired(now):
        return _("This link is older than a day and does nothing any more. Please open the incident in the portal.")
    return ""


@transaction.atomic
def answer_by_link(*, question: Question, person: User, address: str, now: datetime) -> Incident:
    """Take the incident as whoever the link came to, or is signed in. Raises DomainError when it is too late.

    The address that it came from is kept in the audit log: without signing in it is all there is beside the link.
    """
    incident = incident_behind(question, person)
    if incident is None:
        raise PermissionDenied
    if problem := problem_of(question, incident, now=now):
        raise DomainError(problem, code="link_ended")
    with scope.user(person):
        taken = acknowledge(incident=incident, actor=person, now=now, via="link")
        detail = {"address": address, "delivery": question.delivery.pk}
        audit.record(
            action="incident.answer", actor=person, customer=incident.customer, obj=incident, detail=detail, now=now
        )
    return taken


def _acknowledge(incident_id: int, person: User, now: datetime) -> None:
    """As that person may: whoever lost the customer meanwhile, or comes second, changes nothing."""
    with scope.user(person):
        incident = Incident.objects.select_related("customer").filter(pk=incident_id).first()
        if incident is None:
            return
        try:
            acknowledge(incident=incident, actor=person, now=now, via="phone")
        except (DomainError, PermissionDenied) as refusal:
            log.info("pressing %s changed nothing on incident %s: %s", KEY_YES, incident_id, type(refusal).__name__)
