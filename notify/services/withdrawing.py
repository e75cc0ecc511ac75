"""Taking messages back that nobody needs to hear any more: what has not left the house does not leave it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from accounts.models import Customer
from notify.models import Delivery
from notify.services.outbox import writing_for
from notify.states import State


@transaction.atomic
def withdraw(*, customer: Customer | int, keys: Collection[str], now: datetime) -> int:
    """Withdraw the personal messages with these keys, in the caller's transaction; returns how many stay unsent.

    One that a worker is sending at this moment, or that a provider has, cannot be called back; it is marked, so that it
    is not tried again. A call that says several messages is withdrawn with the last of them.
    """
    if not keys:
        return 0
    customer_id = customer if isinstance(customer, int) else customer.pk
    with writing_for(customer_id):
        mine = Delivery.objects.filter(customer_id=customer_id, user__isnull=False, key__in=keys)
        mine.filter(state=State.DIGESTED, withdrawn_at=None).update(withdrawn_at=now)
        gathered = mine.filter(state=State.DIGESTED).values("digest")
        needed = Delivery.objects.filter(digest__in=gathered, withdrawn_at=None).values("digest")
        digests = Delivery.objects.filter(pk__in=gathered).exclude(pk__in=needed)
        open_states = (State.PENDING, State.SENDING, State.ACCEPTED)
        unsent = Delivery.objects.filter(
            Q(pk__in=mine.values("pk")) | Q(pk__in=digests.values("pk")), state__in=open_states
        )
        held = dict(unsent.order_by("pk").select_for_update().values_list("pk", "state"))
        waiting = [pk for pk, state in held.items() if state == State.PENDING]
        Delivery.objects.filter(pk__in=waiting).update(
            state=State.WITHDRAWN, withdrawn_at=now, settled_at=now, next_attempt_at=None
        )
        Delivery.objects.filter(pk__in=held.keys() - set(waiting), withdrawn_at=None).update(withdrawn_at=now)
    return len(waiting)
