"""What the bastion does by itself."""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from bastion.services import groups, living, retaining


@shared_task(name="bastion.sweep", queue="default")
def sweep() -> None:
    """Sessions that no node speaks of any more."""
    with scope.platform("sessions of silent nodes"):
        living.sweep(now=timezone.now())


@shared_task(name="bastion.follow_networks", queue="default")
def follow_networks() -> None:
    """Networks' own groups take in what has joined."""
    with scope.platform("groups of networks"):
        for customer in Customer.objects.all():
            groups.follow_networks(customer=customer, now=timezone.now())


@shared_task(name="bastion.purge", queue="default")
def purge() -> None:
    """Recordings whose time is over, some at a time."""
    with scope.platform("recordings whose time is over"):
        for customer in Customer.objects.all():
            retaining.purge(customer=customer, now=timezone.now())
