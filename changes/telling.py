"""A message of this app to people: to each once, in their own language; and who stands for the customer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils import translation

from accounts.models import Contact, Customer, User
from notify import services as notify
from notify.services import Message

Text = Callable[[], tuple[str, str]]
"""Subject and body in the language of the moment."""
TOPIC = "change"
PROJECT_MANAGERS = (Contact.Kind.FIRST_PM, Contact.Kind.SECOND_PM)
INBOX, BY_MAIL = ("inbox",), ("inbox", "email")


def contacts_here(customer_id: int, kinds: Iterable[str] = PROJECT_MANAGERS) -> list[User]:
    """The customer's contacts of these kinds who are not away."""
    rows = Contact.objects.filter(customer=customer_id, kind__in=tuple(kinds), user__is_active=True, is_away=False)
    return [contact.user for contact in rows.select_related("user")]


def tell(
    customer: Customer,
    key: str,
    people: Iterable[User],
    text: Text,
    *,
    about: str,
    url: str,
    now: datetime,
    channels: tuple[str, ...] = BY_MAIL,
    reference: str = "",
) -> None:
    """`key` makes it one message for each person, however often it is told."""
    notes = []
    for person in {person.pk: person for person in people}.values():
        with translation.override(person.language):
            subject, body = text()
        message = Message(topic=TOPIC, subject=subject, text=body, url=url, about=about, reference=reference)
        notes.append(notify.Note(person, f"{key}:{person.pk}", message, channels))
    notify.tell_many(customer=customer, notes=notes, now=now)
