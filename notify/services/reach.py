"""Customers whom no channel reaches (N7): when that begins, and that it is over once anything arrives again."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from notify.models import Delivery, Outage
from notify.states import State

WHY = "whether customers can be reached is the platform's own question"


def begins(delivery: Delivery, *, now: datetime) -> bool:
    """Write down that nothing of the customer's channels took this; False when that is known already."""
    _row, is_new = Outage.objects.get_or_create(
        customer=delivery.customer, ended_at=None, defaults={"since": now, "delivery": delivery}
    )
    return is_new


def unattended() -> list[Outage]:
    """Outages that nobody upstairs has taken note of yet. Needs the platform's scope."""
    return list(Outage.objects.filter(about="", ended_at=None).select_related("customer", "delivery"))


def attended(outage: Outage, *, about: str) -> None:
    Outage.objects.filter(pk=outage.pk).update(about=about)


@transaction.atomic
def find_ended(*, now: datetime) -> int:
    """End the outages of customers who have got something since. Needs the platform's scope."""
    arrived = Delivery.objects.filter(
        channel__customer=OuterRef("customer"), state=State.DELIVERED, settled_at__gt=OuterRef("since")
    )
    over = Outage.objects.filter(Exists(arrived), ended_at=None)
    return int(over.update(ended_at=now))


def ended() -> list[Outage]:
    """Outages that are over and not yet settled upstairs. Needs the platform's scope."""
    return list(Outage.objects.filter(ended_at__isnull=False, is_settled=False).select_related("customer", "delivery"))


def settled(outage: Outage) -> None:
    Outage.objects.filter(pk=outage.pk).update(is_settled=True)
