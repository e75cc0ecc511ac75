"""What rhythms wake: thin entries.

Bills wait for nobody and are read a few seconds at a time beside reports; monitoring's pollers never see them.
"""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from costs.services import issuing, reading


@shared_task(name="costs.read_bills", queue="reports")
def read_bills() -> None:
    """Claim the cloud accounts whose bills are due, and hand each to a worker."""
    with scope.platform("bills that are due"):
        reading.follow_accounts(now=timezone.now())
        due = reading.claim(now=timezone.now())
    for customer_id, reading_id in due:
        read_account.apply_async((customer_id, reading_id), expires=reading.LEASE.total_seconds())


@shared_task(name="costs.read_account", queue="reports")
def read_account(customer_id: int, reading_id: int) -> None:
    """One round over an account's bills."""
    with scope.customer(customer_id):
        reading.read(reading_id=reading_id, now=timezone.now())


@shared_task(name="costs.issue", queue="reports")
def issue() -> None:
    """Issue the months that are closed and whole."""
    with scope.platform("months to be issued"):
        customers = list(Customer.objects.all())
    for customer in customers:
        with scope.customer(customer):
            issuing.sweep(customer=customer, now=timezone.now())
