"""Incidents that the provider keeps to itself because nothing reaches a customer any more (N7)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Customer, Severity
from incidents.models import Incident, IncidentKind
from incidents.services.answering import about, incident_of
from incidents.services.opening import open_by_platform
from incidents.services.settling import settle
from notify.models import Outage
from notify.services import reach

LANGUAGE = "zh-hans"  # of what the provider's people share


def watch(*, now: datetime) -> int:
    """Open an incident for every customer who cannot be reached, and end those that are over; returns how many."""
    with scope.platform(reach.WHY):
        reach.find_ended(now=now)
        reach.find_voiceless(_with_news(), now=now)
        begun, over = reach.unattended(), reach.ended()
        for outage in begun:
            _open(outage, now)
        for outage in over:
            _end(outage, now)
    return len(begun) + len(over)


def _with_news() -> QuerySet[Customer]:
    """Customers in service who should have heard of something that is not solved yet."""
    theirs = Incident.objects.for_both_sides().unsolved()
    return Customer.objects.filter(status=Customer.Status.IN_SERVICE, pk__in=theirs.values("customer"))


@transaction.atomic
def _open(outage: Outage, now: datetime) -> None:
    """Severity High: a Disaster may be waiting to be told."""
    customer: Customer = outage.customer
    with scope.customer(customer), translation.override(LANGUAGE):
        incident = open_by_platform(
            customer=customer,
            kind=IncidentKind.INTERNAL,
            title=_title(outage) % {"customer": customer},
            description=_description(outage),
            severity=Severity.HIGH,
            detected_at=outage.since,
            now=now,
        )
    reach.attended(outage, about=about(incident.pk))


def _title(outage: Outage) -> str:
    if outage.delivery is None:
        return _("There is nobody of %(customer)s who can be told anything")
    if outage.is_of_calls:
        return _("Nobody of %(customer)s answers the telephone")
    return _("No channel of %(customer)s takes messages")


def _description(outage: Outage) -> str:
    if outage.delivery is None:
        return _(
            "An incident is open, and the customer has neither a channel nor a contact. Enter one of them, and tell "
            "the customer meanwhile."
        )
    said = {"subject": outage.delivery.subject, "code": outage.delivery.last_code}
    if outage.is_of_calls:
        return _("“%(subject)s”: no contact could be reached by telephone. Find another way to the customer.") % said
    return _("“%(subject)s” could not be delivered anywhere (last answer: %(code)s). Call the customer.") % said


def _resolution(outage: Outage) -> str:
    if outage.delivery is None:
        return _("The customer has a channel or a contact now.")
    if outage.is_of_calls:
        return _("A contact of the customer answers the telephone again.")
    return _("A channel of the customer takes messages again.")


@transaction.atomic
def _end(outage: Outage, now: datetime) -> None:
    """Something arrived again: the incident is resolved and closed by the platform, unless people did so before."""
    reach.settled(outage)
    incident_id = incident_of(outage.about)
    if incident_id is None:
        return
    with scope.customer(outage.customer), translation.override(LANGUAGE):
        incident = Incident.objects.get(pk=incident_id)
        settle(incident=incident, cause=Incident.Cause.THIRD_PARTY, resolution=_resolution(outage), now=now)
