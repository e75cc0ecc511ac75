"""What the lists of cost are narrowed by."""

from django.utils.translation import gettext as _

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider


def customer_filter(person: User) -> dict[str, tables.Filter]:
    """Whose rows: a choice for the provider's people."""
    if not is_provider(person):
        return {}
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {"customer": tables.Choice(_("Customer"), customers, "customer_id")}
