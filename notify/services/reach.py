"""Customers whom nothing reaches (N7): when that begins, and that it is over once anything arrives again.

An outage began with a channel, with a message to a contact, or with calls that no contact answered: its delivery says
which, and only what is as good ends it. A group that hears does not mean that somebody answers the telephone. Where
there is neither a channel nor a contact there is no delivery either, and whoever enters one ends it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Contact, Customer
from notify.models import Channel, Delivery, Outage
from notify.services.outbox import writing_for
from notify.services.ways import NOT_SET_UP
from notify.states import State

WHY = "whether customers can be reached is the platform's own question"


def begins(delivery: Delivery, *, now: datetime) -> bool:
    """Write down that nothing of the customer's channels took this; False when that is known already."""
    _row, is_new = Outage.objects.get_or_create(
        customer=delivery.customer, ended_at=None, defaults={"since": now, "delivery": delivery}
    )
    return is_new


def unanswered(*, customer: int, keys: Collection[str], now: datetime) -> None:
    """Calls with these keys reached nobody of the customer: write it down, unless an outage is known already.

    That the provider has no telephone set up is no outage of a customer who has a channel.
    """
    with writing_for(customer):
        calls = Delivery.objects.filter(key__in=keys, medium=Delivery.Medium.VOICE).order_by("-pk")
        if Channel.objects.filter(customer=customer).active().exists():
            calls = calls.exclude(last_code=NOT_SET_UP)
        last = calls.first()
        if last is not None:
            begins(last, now=now)


def find_voiceless(customers: QuerySet[Customer], *, now: datetime) -> None:
    """Write down who of these customers has nobody that could be told anything. Needs the platform's scope."""
    voiceless = customers.exclude(_somebody("pk")).exclude(
        Exists(Outage.objects.filter(customer=OuterRef("pk"), ended_at=None))
    )
    for customer in voiceless:
        Outage.objects.get_or_create(customer=customer, ended_at=None, defaults={"since": now})


def _somebody(customer: str) -> Q:
    """A channel that takes messages, or a contact."""
    channels = Channel.objects.filter(customer=OuterRef(customer)).active()
    contacts = Contact.objects.filter(customer=OuterRef(customer), user__is_active=True)
    return Q(Exists(channels)) | Q(Exists(contacts))


def current(*, customer: int) -> Outage | None:
    with writing_for(customer):
        return Outage.objects.filter(customer=customer, ended_at=None).first()


def end(outage: Outage, *, now: datetime) -> None:
    """People have dealt with it: what fails from now on is another one."""
    with writing_for(outage.customer_id):
        Outage.objects.filter(pk=outage.pk, ended_at=None).update(ended_at=now)


def unattended() -> list[Outage]:
    """Outages that nobody upstairs has taken note of yet. Needs the platform's scope."""
    return list(Outage.objects.filter(about="", ended_at=None).select_related("customer", "delivery"))


def attended(outage: Outage, *, about: str) -> None:
    Outage.objects.filter(pk=outage.pk).update(about=about)


@transaction.atomic
def find_ended(*, now: datetime) -> int:
    """End the outages of customers who have got something since. Needs the platform's scope."""
    arrived = Delivery.objects.filter(state=State.DELIVERED, settled_at__gt=OuterRef("since"))
    by_channel = arrived.filter(channel__customer=OuterRef("customer"))
    to_people = arrived.filter(user__customer=OuterRef("customer"), medium=OuterRef("delivery__medium"))
    of_calls = Q(delivery__medium=Delivery.Medium.VOICE)
    by_message = Q(delivery__channel=None, delivery__isnull=False) & Exists(to_people)
    ends = (~of_calls & Exists(by_channel)) | by_message | (Q(delivery=None) & _somebody("customer"))
    over = Outage.objects.filter(ends, ended_at=None)
    return int(over.update(ended_at=now))


def ended() -> list[Outage]:
    """Outages that are over and not yet settled upstairs. Needs the platform's scope."""
    return list(Outage.objects.filter(ended_at__isnull=False, is_settled=False).select_related("customer", "delivery"))


def settled(outage: Outage) -> None:
    Outage.objects.filter(pk=outage.pk).update(is_settled=True)
