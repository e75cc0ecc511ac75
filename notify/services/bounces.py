"""Mails that a server took and later sent back: written beside the delivery, so that whoever looks sees it."""

from __future__ import annotations

from datetime import datetime

from notify import live, marking
from notify.inbound.mail import Returned
from notify.models import Delivery


def note(*, returned: Returned, now: datetime) -> Delivery | None:
    """The delivery that came back; None when it is none of ours. Needs a platform scope.

    Its message id is sealed: only a server that has seen the mail can name it.
    """
    number = marking.delivery_in(returned.message_ids)
    delivery = Delivery.objects.filter(pk=number, medium=Delivery.Medium.EMAIL).first() if number else None
    if delivery is None or delivery.returned_at is not None:
        return delivery
    delivery.returned_at = now
    delivery.returned_because = f"{returned.status} {returned.words}".strip()[:340]
    delivery.save(update_fields=["returned_at", "returned_because"])
    if delivery.customer_id is not None:
        live.publish(customer_id=delivery.customer_id, topic="deliveries", object_id=delivery.pk)
    return delivery
