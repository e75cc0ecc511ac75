"""What people answer to our messages: a key pressed on the telephone takes the incident, like the button does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import User
from incidents.models import Incident
from incidents.services.handling import acknowledge
from notify.channels.receipt import Report
from notify.services import receipts
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
    for answer in answers:
        person = answer.delivery.user
        if person is None or not answer.was_reached or KEY_YES not in answer.key_pressed:
            continue
        for message in answer.about:
            incident_id = incident_of(message.about)
            if message.asks == ACKNOWLEDGE and incident_id is not None:
                _acknowledge(incident_id, person, now)


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
