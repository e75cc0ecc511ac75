"""Whom of the customer an incident concerns: who is asked, who is reminded, who hears of a late reply (R59, R180)."""

from collections.abc import Iterable

from accounts.models import Contact, Severity, User
from incidents.models import Incident

Kind = Contact.Kind
MANAGERS = (Kind.FIRST_PM, Kind.SECOND_PM)
AROUND_THE_CLOCK = (Kind.PRIMARY, Kind.SECONDARY)


def to_ask(incident: Incident) -> list[User]:
    """Everybody whom the customer named and who is not away; of a disaster both service contacts, away or not."""
    always = AROUND_THE_CLOCK if incident.severity == Severity.DISASTER else ()
    return _people(contact for contact in _named(incident) if not contact.is_away or contact.kind in always)


def to_remind(incident: Incident) -> list[User]:
    """The first project manager, or the second while the first is away; without one, whoever was asked."""
    managers = {contact.kind: contact for contact in _named(incident) if contact.kind in MANAGERS}
    first, second = managers.get(Kind.FIRST_PM), managers.get(Kind.SECOND_PM)
    in_charge = second if second is not None and (first is None or first.is_away) else first
    return _people([in_charge]) if in_charge is not None else _asked(incident)


def when_late(incident: Incident) -> list[User]:
    """Both project managers, and of a disaster both service contacts, away or not."""
    kinds = MANAGERS + (AROUND_THE_CLOCK if incident.severity == Severity.DISASTER else ())
    return _people(contact for contact in _named(incident) if contact.kind in kinds) or _asked(incident)


def _asked(incident: Incident) -> list[User]:
    raiser = incident.raised_by
    return to_ask(incident) or ([raiser] if raiser is not None and not raiser.is_provider else [])


def _named(incident: Incident) -> list[Contact]:
    return list(Contact.objects.filter(customer_id=incident.customer_id).select_related("user"))


def _people(contacts: Iterable[Contact]) -> list[User]:
    return list({contact.user_id: contact.user for contact in contacts if contact.user.is_active}.values())
