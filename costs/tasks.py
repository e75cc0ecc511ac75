"""What rhythms wake: thin entries.

Bills wait for nobody and are read a few seconds at a time beside reports; monitoring's pollers never see them.
"""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from costs.services import finding, issuing, reading


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


@shared_task(name="costs.find_savings", queue="reports")
def find_savings() -> None:
    """Hand each account that was not looked at for a day to a worker."""
    with scope.platform("accounts to look for savings in"):
        due = finding.claim(now=timezone.now())
    for customer_id, reading_id in due:
        look_for_savings.apply_async((customer_id, reading_id), expires=3600)


@shared_task(name="costs.look_for_savings", queue="reports")
def look_for_savings(customer_id: int, reading_id: int) -> None:
    with scope.customer(customer_id):
        finding.look(reading_id=reading_id, now=timezone.now())
