"""Taking an incident in hand, always in the same order, so that no two people, alarms or timers wait for each other."""

from collections.abc import Iterable

from accounts import audit
from accounts.models import Customer
from incidents.models import Incident


def hold(incident: Incident) -> Incident:
    """The incident as it is now, held until the transaction ends.

    The customer's place in the audit chain comes before the row: the ingest pipeline keeps the chain while it opens
    one incident after another.
    """
    audit.hold(incident.customer_id)
    return Incident.objects.select_for_update(no_key=True, of=("self",)).select_related("customer").get(pk=incident.pk)


def hold_all(customer_id: int, pks: Iterable[int]) -> dict[int, Incident]:
    """Several incidents of one customer as they are now, held in one order until the transaction ends."""
    audit.hold(customer_id)
    rows = Incident.objects.select_for_update(no_key=True, of=("self",)).select_related("customer")
    return {row.pk: row for row in rows.filter(customer_id=customer_id, pk__in=set(pks)).order_by("pk")}


def hold_customer(customer: Customer) -> None:
    """Take the customer's turn before anything of it is opened: concurrent alarms queue here and join one incident."""
    audit.hold(customer.pk)
