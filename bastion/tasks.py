"""What the bastion does by itself."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from bastion.services import groups, living, node_watch, requesting, reviewing


@shared_task(name="bastion.sweep", queue="default")
def sweep() -> None:
    """Sessions that no node speaks of any more, silent nodes, and commands that nobody has judged in time."""
    with scope.platform("sessions of silent nodes"):
        living.sweep(now=timezone.now())
        node_watch.look(now=timezone.now())
        reviewing.settle_late(now=timezone.now())


@shared_task(name="bastion.watch_rights", queue="default")
def watch_rights() -> None:
    """Whoever was shut out, or works for a customer no more, is cut off: nobody tells the bastion of it."""
    with scope.platform("rights of running sessions"):
        living.ask_again(now=timezone.now())


@shared_task(name=requesting.LAPSE_TASK, queue="default")
def lapse_request(*, due_at: datetime, now: datetime, request_id: int) -> None:
    requesting.lapse(request_id=request_id, now=now)


@shared_task(name="bastion.follow_networks", queue="default")
def follow_networks() -> None:
    """Networks' own groups take in what has joined."""
    with scope.platform("groups of networks"):
        for customer in Customer.objects.all():
            groups.follow_networks(customer=customer, now=timezone.now())
