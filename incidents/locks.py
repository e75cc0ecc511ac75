"""Taking an incident in hand, always in the same order, so that no two people, alarms or timers wait for each other."""

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


def hold_customer(customer: Customer) -> None:
    """Take the customer's turn before anything of it is opened: concurrent alarms queue here and join one incident."""
    audit.hold(customer.pk)
